#include "server/admission/admission_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace spearfish::server {
namespace {

// Weight of the latest in the smoothed service time.
constexpr double kSmoothing = 0.1;

}  // namespace

Refusal AdmissionQueue::Refuse(RefusalReason reason, std::string message) const {
  // By then a quarter of the queue should have moved on.
  const double rounds =
      capacity_ == 0 ? 0
                     : static_cast<double>(waiting_sequences_) / 4 / static_cast<double>(capacity_);
  return {reason, std::move(message), std::max(options_.least_retry, service_time_ * rounds)};
}

absl::Duration AdmissionQueue::EstimateWait(const AdmissionRequest& request,
                                            const Client* client) const {
  if (capacity_ == 0 || running_sequences_ + request.num_sequences <= capacity_) {
    if (waiting_.empty()) return absl::ZeroDuration();
  }
  // Its client's share: the others come before it in turn, but no more than wait. Requests of
  // larger priority may still come: an estimate that is too short is corrected by Advance.
  uint64_t ahead = waiting_sequences_;
  if (client != nullptr || !clients_.empty()) {
    const uint64_t own = (client == nullptr ? 0 : client->waiting_sequences);
    uint64_t with_waiting = client == nullptr || client->waiting.empty() ? 1 : 0;
    for (const auto& [name, other] : clients_) with_waiting += other.waiting.empty() ? 0 : 1;
    ahead = std::min(ahead, (own + request.num_sequences) * with_waiting);
  }
  return service_time_ * (static_cast<double>(ahead + request.num_sequences) /
                          static_cast<double>(std::max<uint64_t>(1, capacity_)));
}

absl::Time AdmissionQueue::LatestStart(const AdmissionRequest& request, absl::Time since) const {
  return std::min(request.deadline, since + options_.longest_wait);
}

std::optional<uint64_t> AdmissionQueue::FindVictim(const AdmissionRequest& newcomer) const {
  const auto own = clients_.find(newcomer.client);
  const size_t own_waiting = own == clients_.end() ? 0 : own->second.waiting.size();
  const Client* victim = nullptr;
  Place worst;
  for (const auto& [name, client] : clients_) {
    if (client.waiting.empty()) continue;
    const Place last = client.waiting.rbegin()->first;
    // The least priority; among equals who has the most waiting.
    const bool lower = victim == nullptr || last.first > worst.first;
    const bool larger = victim != nullptr && last.first == worst.first &&
                        client.waiting.size() > victim->waiting.size();
    if (!lower && !larger) continue;
    victim = &client;
    worst = last;
  }
  if (victim == nullptr) return std::nullopt;
  const int64_t place = -int64_t{newcomer.priority};
  if (worst.first < place) return std::nullopt;
  if (worst.first == place && victim->waiting.size() <= own_waiting + 1) return std::nullopt;
  return victim->waiting.rbegin()->second;
}

std::optional<Refusal> AdmissionQueue::Offer(uint64_t id, AdmissionRequest request, absl::Time now,
                                             std::vector<AdmissionOutcome>& displaced) {
  const auto found = clients_.find(request.client);
  const Client* const client = found == clients_.end() ? nullptr : &found->second;
  if (client != nullptr && options_.max_per_client > 0 &&
      client->waiting.size() + client->running >= options_.max_per_client) {
    return Refuse(
        RefusalReason::kClientLimit,
        absl::StrCat("too many requests of one client: ", client->waiting.size() + client->running,
                     " wait or run, at most ", options_.max_per_client, "; wait for one to end"));
  }
  const absl::Duration wait = EstimateWait(request, client);
  if (now + wait > LatestStart(request, now)) {
    return Refuse(RefusalReason::kTooLate,
                  absl::StrCat("can't start in time: about ", absl::FormatDuration(wait),
                               " to wait; allow more time or try again later"));
  }
  const bool no_place = waiting_.size() >= options_.max_waiting ||
                        waiting_bytes_ + request.bytes > options_.max_waiting_bytes;
  const bool starts_at_once =
      waiting_.empty() && (capacity_ == 0 || running_sequences_ == 0 ||
                           running_sequences_ + request.num_sequences <= capacity_);
  if (no_place && !starts_at_once) {
    const std::optional<uint64_t> victim = FindVictim(request);
    const std::string full = absl::StrCat("queue is full: ", waiting_.size(), " requests wait (",
                                          waiting_bytes_, " bytes); try again later");
    if (!victim) return Refuse(RefusalReason::kQueueFull, full);
    displaced.push_back({*victim, Refuse(RefusalReason::kDisplaced, full)});
    ForgetIfIdle(TakeOut(*victim).client);
  }
  Client& own = clients_[request.client];
  if (own.waiting.empty() && own.running == 0) own.virtual_time = virtual_time_;
  const Place place{-int64_t{request.priority}, next_arrival_++};
  own.waiting.emplace(place, id);
  own.waiting_sequences += request.num_sequences;
  waiting_sequences_ += request.num_sequences;
  waiting_bytes_ += request.bytes;
  waiting_.emplace(id, Waiting{std::move(request), place, now});
  return std::nullopt;
}

AdmissionQueue::Clients::iterator AdmissionQueue::NextClient() {
  auto next = clients_.end();
  for (auto it = clients_.begin(); it != clients_.end(); ++it) {
    if (it->second.waiting.empty()) continue;
    if (next == clients_.end()) {
      next = it;
      continue;
    }
    const auto key = [](const Client& client) {
      return std::pair(client.waiting.begin()->first.first, client.virtual_time);
    };
    if (key(it->second) < key(next->second)) next = it;
  }
  return next;
}

void AdmissionQueue::Advance(absl::Time now, std::vector<AdmissionOutcome>& outcomes) {
  std::vector<uint64_t> late;
  for (const auto& [id, waiting] : waiting_) {
    if (now > LatestStart(waiting.request, waiting.since)) late.push_back(id);
  }
  for (const uint64_t id : late) {
    outcomes.push_back({id, Refuse(RefusalReason::kTooLate,
                                   "could not start in time; allow more time or try again later")});
    ForgetIfIdle(TakeOut(id).client);
  }
  while (!waiting_.empty()) {
    const auto next = NextClient();
    const uint64_t id = next->second.waiting.begin()->second;
    const uint32_t num_sequences = waiting_.at(id).request.num_sequences;
    // One that is larger than the capacity goes alone.
    if (capacity_ != 0 && running_sequences_ != 0 &&
        running_sequences_ + num_sequences > capacity_) {
      return;
    }
    Client& client = next->second;
    virtual_time_ = std::max(virtual_time_, client.virtual_time);
    client.virtual_time += num_sequences;
    ++client.running;
    running_sequences_ += num_sequences;
    running_.emplace(id, Running{next->first, num_sequences, now});
    static_cast<void>(TakeOut(id));
    outcomes.push_back({id, std::nullopt});
  }
}

AdmissionRequest AdmissionQueue::TakeOut(uint64_t id) {
  const auto found = waiting_.find(id);
  AdmissionRequest request = std::move(found->second.request);
  Client& client = clients_.at(request.client);
  client.waiting.erase(found->second.place);
  client.waiting_sequences -= request.num_sequences;
  waiting_sequences_ -= request.num_sequences;
  waiting_bytes_ -= request.bytes;
  waiting_.erase(found);
  return request;
}

bool AdmissionQueue::Withdraw(uint64_t id) {
  if (!waiting_.contains(id)) return false;
  ForgetIfIdle(TakeOut(id).client);
  return true;
}

void AdmissionQueue::Ended(uint64_t id, absl::Time now) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  const absl::Duration took = now - found->second.since;
  service_time_ = service_time_ == absl::ZeroDuration()
                      ? took
                      : service_time_ * (1 - kSmoothing) + took * kSmoothing;
  running_sequences_ -= found->second.num_sequences;
  const std::string client = std::move(found->second.client);
  running_.erase(found);
  --clients_.at(client).running;
  ForgetIfIdle(client);
}

void AdmissionQueue::ForgetIfIdle(const std::string& client) {
  const auto found = clients_.find(client);
  if (found != clients_.end() && found->second.waiting.empty() && found->second.running == 0) {
    clients_.erase(found);
  }
}

}  // namespace spearfish::server
