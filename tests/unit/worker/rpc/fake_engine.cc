#include "tests/unit/worker/rpc/fake_engine.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/time/clock.h"

namespace spearfish::worker {

void FakeEngine::RefuseWith(absl::Status status) {
  const MutexLock lock(mutex_);
  refusal_ = std::move(status);
}

void FakeEngine::AnswerWith(uint32_t num_tokens) {
  const MutexLock lock(mutex_);
  answer_tokens_ = num_tokens;
}

GenerationRequest FakeEngine::TakeRequest() {
  const MutexLock lock(mutex_);
  while (requests_.empty()) changed_.Wait(mutex_);
  GenerationRequest request = std::move(requests_.front());
  requests_.pop_front();
  return request;
}

void FakeEngine::WaitForAbort(const std::string& request_id) {
  const MutexLock lock(mutex_);
  while (std::find(aborted_.begin(), aborted_.end(), request_id) == aborted_.end()) {
    changed_.Wait(mutex_);
  }
}

size_t FakeEngine::num_live() const {
  const MutexLock lock(mutex_);
  return live_.size();
}

size_t FakeEngine::num_submitted() const {
  const MutexLock lock(mutex_);
  return num_submitted_;
}

void FakeEngine::Emit(const std::string& request_id, EngineEvent event) {
  thread_.Post([this, request_id, event = std::move(event)] { Report(request_id, event); });
}

void FakeEngine::EmitTokens(const std::string& request_id, std::vector<TokenId> ids,
                            std::string text) {
  TokensDelta delta;
  delta.token_ids = std::move(ids);
  delta.text = std::move(text);
  Emit(request_id, std::move(delta));
}

void FakeEngine::EmitFinish(const std::string& request_id, FinishReason reason) {
  SequenceFinished finished;
  finished.reason = reason;
  Emit(request_id, finished);
}

absl::Status FakeEngine::Submit(GenerationRequest request, EventSink sink) {
  uint32_t answer_tokens = 0;
  const std::string id = request.request_id;
  {
    const MutexLock lock(mutex_);
    if (!refusal_.ok()) return refusal_;
    if (draining_) return absl::UnavailableError("engine is draining");
    if (live_.contains(id)) return absl::AlreadyExistsError("request is live: " + id);
    live_[id] = {.sink = std::move(sink),
                 .sequences_left = request.num_sequences,
                 .num_sequences = request.num_sequences};
    ++num_submitted_;
    answer_tokens = answer_tokens_;
    if (answer_tokens == 0) requests_.push_back(std::move(request));
    changed_.SignalAll();
  }
  if (answer_tokens == 0) return absl::OkStatus();
  Emit(id, PromptDone{});
  for (TokenId token = 1; token <= answer_tokens; ++token) EmitTokens(id, {token});
  EmitFinish(id, FinishReason::kLength);
  return absl::OkStatus();
}

bool FakeEngine::Abort(absl::string_view request_id) {
  const std::string id(request_id);
  uint32_t num_sequences = 0;
  {
    const MutexLock lock(mutex_);
    aborted_.push_back(id);
    changed_.SignalAll();
    const auto found = live_.find(id);
    if (found == live_.end()) return false;
    num_sequences = found->second.num_sequences;
  }
  for (uint32_t i = 0; i < num_sequences; ++i) {
    SequenceFinished finished;
    finished.index = i;
    finished.reason = FinishReason::kAborted;
    Emit(id, finished);
  }
  return true;
}

void FakeEngine::Drain() {
  const MutexLock lock(mutex_);
  draining_ = true;
}

bool FakeEngine::draining() const {
  const MutexLock lock(mutex_);
  return draining_;
}

bool FakeEngine::WaitIdle(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const MutexLock lock(mutex_);
  while (!live_.empty() && changed_.WaitFor(mutex_, deadline - absl::Now())) {
  }
  return live_.empty();
}

EngineStats FakeEngine::stats() const {
  EngineStats stats;
  stats.num_running = static_cast<uint32_t>(num_live());
  stats.num_waiting = 3;
  stats.kv_blocks_used = 4;
  stats.kv_blocks_total = 5;
  stats.generated_tokens_total = 6;
  stats.tokens_per_second = 7.5;
  stats.expert_hits = 8;
  stats.expert_misses = 9;
  stats.expert_cpu_bytes = 10;
  return stats;
}

void FakeEngine::Report(const std::string& request_id, const EngineEvent& event) {
  EventSink sink;
  {
    const MutexLock lock(mutex_);
    const auto found = live_.find(request_id);
    if (found == live_.end()) return;
    Live& live = found->second;
    const bool finished = std::holds_alternative<SequenceFinished>(event);
    const bool last =
        std::holds_alternative<RequestFailed>(event) || (finished && --live.sequences_left == 0);
    sink = live.sink;
    if (last) live_.erase(found);
    changed_.SignalAll();
  }
  sink(event);
}

}  // namespace spearfish::worker
