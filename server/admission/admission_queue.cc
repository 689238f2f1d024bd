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

// One that is larger than the capacity goes alone.
bool AdmissionQueue::Fits(uint32_t num_sequences) const {
  return running_sequences_ == 0 || running_sequences_ + num_sequences <= capacity_;
}

bool AdmissionQueue::StartsAtOnce(const AdmissionRequest& request) const {
  if (capacity_ == 0) return running_.size() < options_.max_waiting;
  return waiting_.empty() && Fits(request.num_sequences);
}

// Of its client's those that come before it; the others' come in turn. Requests of larger priority
// may still come: an estimate that is too short is corrected by Advance.
uint64_t AdmissionQueue::SequencesAhead(const AdmissionRequest& request) const {
  const int64_t place = -int64_t{request.priority};
  uint64_t own = request.num_sequences;
  uint64_t num_clients = 1;
  for (const auto& [name, client] : clients_) {
    if (client.waiting.empty() || client.waiting.begin()->first.first > place) continue;
    if (name != request.client) {
      ++num_clients;
      continue;
    }
    for (const auto& [other, id] : client.waiting) {
      if (other.first <= place) own += waiting_.at(id).request.num_sequences;
    }
  }
  return std::min(waiting_sequences_ + request.num_sequences, own * num_clients);
}

absl::Duration AdmissionQueue::EstimateWait(const AdmissionRequest& request) const {
  if (StartsAtOnce(request)) return absl::ZeroDuration();
  return service_time_ * (static_cast<double>(SequencesAhead(request)) /
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

std::optional<Refusal> AdmissionQueue::CheckLimits(const AdmissionRequest& request,
                                                   absl::Time now) const {
  const auto client = clients_.find(request.client);
  if (client != clients_.end() && options_.max_per_client > 0) {
    const size_t has = client->second.waiting.size() + client->second.running;
    if (has >= options_.max_per_client) {
      return Refuse(RefusalReason::kClientLimit,
                    absl::StrCat("too many requests of one client: ", has, " wait or run, at most ",
                                 options_.max_per_client, "; wait for one to end"));
    }
  }
  const absl::Duration wait = EstimateWait(request);
  if (now + wait <= LatestStart(request, now)) return std::nullopt;
  return Refuse(RefusalReason::kTooLate,
                absl::StrCat("can't start in time: about ", absl::FormatDuration(wait),
                             " to wait; allow more time or try again later"));
}

std::optional<Refusal> AdmissionQueue::MakeRoom(const AdmissionRequest& request,
                                                std::vector<AdmissionOutcome>& displaced) {
  const uint64_t bytes = waiting_bytes_ + request.bytes;
  const bool has_place = capacity_ != 0 && waiting_.size() < options_.max_waiting &&
                         bytes <= options_.max_waiting_bytes;
  if (has_place || StartsAtOnce(request)) return std::nullopt;
  const std::string full = absl::StrCat("queue is full: ", waiting_.size(), " requests wait (",
                                        waiting_bytes_, " bytes); try again later");
  const std::optional<uint64_t> victim = FindVictim(request);
  // One goes for one: a large request does not push many small ones out.
  if (!victim || bytes - waiting_.at(*victim).request.bytes > options_.max_waiting_bytes) {
    return Refuse(RefusalReason::kQueueFull, full);
  }
  TurnAway(*victim, Refuse(RefusalReason::kDisplaced, full), displaced);
  return std::nullopt;
}

void AdmissionQueue::Insert(uint64_t id, AdmissionRequest request, absl::Time now) {
  Client& own = clients_[request.client];
  if (own.waiting.empty()) own.virtual_time = std::max(own.virtual_time, virtual_time_);
  const Place place{-int64_t{request.priority}, next_arrival_++};
  own.waiting.emplace(place, id);
  own.waiting_sequences += request.num_sequences;
  waiting_sequences_ += request.num_sequences;
  waiting_bytes_ += request.bytes;
  waiting_.emplace(id, Waiting{std::move(request), place, now});
}

std::optional<Refusal> AdmissionQueue::Offer(uint64_t id, AdmissionRequest request, absl::Time now,
                                             std::vector<AdmissionOutcome>& displaced) {
  request.priority = std::min(request.priority, options_.max_priority);
  if (std::optional<Refusal> refusal = CheckLimits(request, now)) return refusal;
  if (std::optional<Refusal> refusal = MakeRoom(request, displaced)) return refusal;
  Insert(id, std::move(request), now);
  return std::nullopt;
}

void AdmissionQueue::SetCapacity(uint64_t num_sequences, std::vector<AdmissionOutcome>& refused) {
  capacity_ = num_sequences;
  if (capacity_ != 0) return;
  while (!waiting_.empty()) {
    TurnAway(waiting_.begin()->first,
             {RefusalReason::kNoWorker, "no worker is ready; see `spearfish status`, then retry",
              options_.least_retry},
             refused);
  }
}

bool AdmissionQueue::Abort(absl::string_view request_id, std::vector<AdmissionOutcome>& refused) {
  std::vector<uint64_t> ids;
  for (const auto& [id, waiting] : waiting_) {
    if (waiting.request.request_id == request_id) ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    TurnAway(id, {RefusalReason::kAborted, "aborted before it started", absl::ZeroDuration()},
             refused);
  }
  return !ids.empty();
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
    TurnAway(id,
             Refuse(RefusalReason::kTooLate,
                    "could not start in time; allow more time or try again later"),
             outcomes);
  }
  while (!waiting_.empty()) {
    const auto next = NextClient();
    const uint64_t id = next->second.waiting.begin()->second;
    const uint32_t num_sequences = waiting_.at(id).request.num_sequences;
    if (capacity_ != 0 && !Fits(num_sequences)) return;
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

void AdmissionQueue::TurnAway(uint64_t id, Refusal refusal,
                              std::vector<AdmissionOutcome>& refused) {
  refused.push_back({id, std::move(refusal)});
  ForgetIfIdle(TakeOut(id).client);
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
