// The engine's thread and the door to it.
#ifndef WORKER_ENGINE_ENGINE_IMPL_H_
#define WORKER_ENGINE_ENGINE_IMPL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "worker/engine/engine.h"
#include "worker/engine/engine_core.h"
#include "worker/engine/prepared_request.h"
#include "worker/engine/token_rate.h"
#include "worker/engine/validate_request.h"

namespace spearfish::worker {

// One owner thread, which has the core to itself, and an inbox. The mutex is held for moments only,
// never over a step or a sink, so that a sink may call the engine.
class EngineImpl final : public Engine {
 public:
  // The options have passed Validate.
  EngineImpl(const EngineOptions& options, Model& model, const Tokenizer& tokenizer);
  ~EngineImpl() override;

  absl::Status Submit(GenerationRequest request, EventSink sink) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  bool Abort(absl::string_view request_id) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain() override ABSL_LOCKS_EXCLUDED(mutex_);
  bool draining() const override ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitIdle(absl::Duration timeout) override ABSL_LOCKS_EXCLUDED(mutex_);
  EngineStats stats() const override ABSL_LOCKS_EXCLUDED(mutex_);
  const EngineTimings& timings() const override { return core_.timings(); }

 private:
  struct SubmitCommand {
    std::unique_ptr<const PreparedRequest> prepared;
    EventSink sink;
    absl::Time submitted;
  };
  struct AbortCommand {
    std::string request_id;
  };
  using Command = std::variant<SubmitCommand, AbortCommand>;
  enum class Inbox { kOpen, kStopped };

  absl::Status CheckAdmissible(const GenerationRequest& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // On the engine thread.
  void Run();
  // Publishes, waits up to `nap` for a command if nothing is live, and moves the inbox to
  // `commands`.
  Inbox TakeInbox(absl::Duration nap, std::vector<Command>& commands) ABSL_LOCKS_EXCLUDED(mutex_);
  void Execute(std::vector<Command>& commands);
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseId(const std::string& request_id) ABSL_LOCKS_EXCLUDED(mutex_);

  const EngineOptions options_;
  const std::vector<TokenId> eos_ids_;
  const RequestLimits limits_;
  EngineCore core_;  // the engine thread's

  mutable Mutex mutex_;
  Condition inbox_changed_;  // a command came, or stopping_
  Condition idle_;           // num_live_ became 0
  std::vector<Command> inbox_ ABSL_GUARDED_BY(mutex_);
  uint32_t num_inbox_requests_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t num_inbox_sequences_ ABSL_GUARDED_BY(mutex_) = 0;
  // An id leaves when its last event is about to be sent, a request when it has been.
  absl::flat_hash_set<std::string> live_ids_ ABSL_GUARDED_BY(mutex_);
  uint32_t num_live_ ABSL_GUARDED_BY(mutex_) = 0;  // requests, in the inbox or with the core
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  EngineStats stats_ ABSL_GUARDED_BY(mutex_);  // tokens_per_second is in rate_
  mutable TokenRate rate_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_ENGINE_IMPL_H_
