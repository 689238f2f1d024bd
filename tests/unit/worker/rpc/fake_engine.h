// An Engine that computes nothing: tests say what it answers.
#ifndef TESTS_UNIT_WORKER_RPC_FAKE_ENGINE_H_
#define TESTS_UNIT_WORKER_RPC_FAKE_ENGINE_H_

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "worker/engine/engine.h"
#include "worker/rpc/task_thread.h"

namespace spearfish::worker {

// Thread-safe. Sinks run on a thread of its own, as the real engine's do. An aborted request
// finishes all its sequences with kAborted.
class FakeEngine : public Engine {
 public:
  // Every later Submit is refused with it; OK admits again.
  void RefuseWith(absl::Status status);
  // Every later request is answered at once with `num_tokens` tokens 1, 2, ... in deltas of one.
  void AnswerWith(uint32_t num_tokens);

  // The next request that came in; waits for it.
  GenerationRequest TakeRequest();
  // Waits until `request_id` was aborted.
  void WaitForAbort(const std::string& request_id);
  size_t num_live() const;
  size_t num_submitted() const;

  // Reports `event` to the request on the engine's thread. A no-op when it is not live.
  void Emit(const std::string& request_id, EngineEvent event);
  void EmitTokens(const std::string& request_id, std::vector<TokenId> ids, std::string text = "");
  void EmitFinish(const std::string& request_id, FinishReason reason = FinishReason::kStop);

  absl::Status Submit(GenerationRequest request, EventSink sink) override;
  bool Abort(absl::string_view request_id) override;
  void Drain() override;
  bool draining() const override;
  bool WaitIdle(absl::Duration timeout) override;
  EngineStats stats() const override;
  const EngineTimings& timings() const override { return timings_; }

  // To be counted in by tests.
  EngineTimings& counted() { return timings_; }

 private:
  struct Live {
    EventSink sink;
    uint32_t sequences_left = 0;
    uint32_t num_sequences = 0;
  };

  void Report(const std::string& request_id, const EngineEvent& event);

  EngineTimings timings_;
  mutable Mutex mutex_;
  Condition changed_;  // requests_, aborted_ or live_
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  uint32_t answer_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  size_t num_submitted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Live> live_ ABSL_GUARDED_BY(mutex_);
  std::deque<GenerationRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> aborted_ ABSL_GUARDED_BY(mutex_);
  TaskThread thread_;  // last: its tasks use the rest
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_RPC_FAKE_ENGINE_H_
