#include "server/admission/admission_controller.h"

namespace spearfish::server {

AdmissionTicket& AdmissionTicket::operator=(AdmissionTicket&& other) noexcept {
  AdmissionTicket old = std::move(*this);
  controller_ = std::exchange(other.controller_, nullptr);
  id_ = other.id_;
  return *this;
}

AdmissionTicket::~AdmissionTicket() {
  if (controller_ != nullptr) controller_->Ended(id_);
}

void AdmissionController::Enter(uint64_t id, AdmissionRequest request, Decided decided) {
  std::vector<Call> calls;
  {
    const absl::Time now = clock_();
    const MutexLock lock(mutex_);
    std::vector<AdmissionOutcome> outcomes;
    std::optional<Refusal> refusal = queue_.Offer(id, std::move(request), now, outcomes);
    waiting_.emplace(id, std::move(decided));
    if (refusal) outcomes.push_back({id, std::move(refusal)});
    queue_.Advance(now, outcomes);
    calls = Collect(std::move(outcomes));
  }
  Run(std::move(calls));
}

bool AdmissionController::Withdraw(uint64_t id) {
  Decided forgotten;  // destroyed without the lock
  const MutexLock lock(mutex_);
  if (!queue_.Withdraw(id)) return false;
  const auto found = waiting_.find(id);
  forgotten = std::move(found->second);
  waiting_.erase(found);
  return true;
}

void AdmissionController::SetCapacity(uint64_t num_sequences) {
  std::vector<Call> calls;
  {
    const MutexLock lock(mutex_);
    std::vector<AdmissionOutcome> outcomes;
    queue_.SetCapacity(num_sequences, outcomes);
    queue_.Advance(clock_(), outcomes);
    calls = Collect(std::move(outcomes));
  }
  Run(std::move(calls));
}

std::vector<std::string> AdmissionController::Abort(const std::vector<std::string>& request_ids) {
  std::vector<std::string> aborted;
  std::vector<Call> calls;
  {
    const MutexLock lock(mutex_);
    std::vector<AdmissionOutcome> outcomes;
    for (const std::string& id : request_ids) {
      if (queue_.Abort(id, outcomes)) aborted.push_back(id);
    }
    calls = Collect(std::move(outcomes));
  }
  Run(std::move(calls));
  return aborted;
}

void AdmissionController::Ended(uint64_t id) {
  std::vector<Call> calls;
  {
    const absl::Time now = clock_();
    const MutexLock lock(mutex_);
    queue_.Ended(id, now);
    std::vector<AdmissionOutcome> outcomes;
    queue_.Advance(now, outcomes);
    calls = Collect(std::move(outcomes));
  }
  Run(std::move(calls));
}

std::vector<AdmissionController::Call> AdmissionController::Collect(
    std::vector<AdmissionOutcome> outcomes) {
  std::vector<Call> calls;
  calls.reserve(outcomes.size());
  for (AdmissionOutcome& outcome : outcomes) {
    const auto found = waiting_.find(outcome.id);
    calls.push_back({outcome.id, std::move(found->second), std::move(outcome.refusal)});
    waiting_.erase(found);
  }
  return calls;
}

void AdmissionController::Run(std::vector<Call> calls) {
  for (Call& call : calls) {
    AdmissionTicket ticket;
    if (!call.refusal) ticket = AdmissionTicket(*this, call.id);
    call.decided(std::move(ticket), std::move(call.refusal));
  }
}

uint32_t AdmissionController::num_waiting() const {
  const MutexLock lock(mutex_);
  return queue_.num_waiting();
}

uint64_t AdmissionController::num_running_sequences() const {
  const MutexLock lock(mutex_);
  return queue_.num_running_sequences();
}

}  // namespace spearfish::server
