#include "worker/rpc/engine_link.h"

#include <utility>
#include <variant>

namespace spearfish::worker {

absl::Status EngineLink::Submit(Engine& engine, GenerationRequest request, EventSink sink) {
  const std::string id = request.request_id;
  {
    const MutexLock lock(mutex_);
    if (cancelled_) return absl::CancelledError("cancelled before it was submitted");
    request_id_ = id;
    sequences_left_ = request.num_unfinished();
  }
  // The engine's thread may report events, even the last, before Submit is back.
  absl::Status status = engine.Submit(std::move(request), std::move(sink));
  if (!status.ok()) return status;
  bool abort = false;
  {
    const MutexLock lock(mutex_);
    if (!ended_) engine_ = &engine;
    if (cancelled_) abort = std::exchange(engine_, nullptr) != nullptr;
  }
  if (abort) engine.Abort(id);
  return absl::OkStatus();
}

void EngineLink::Cancel() {
  Engine* engine = nullptr;
  std::string id;
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    engine = std::exchange(engine_, nullptr);
    id = request_id_;
  }
  if (engine != nullptr) engine->Abort(id);
}

bool EngineLink::Observe(const EngineEvent& event) {
  const MutexLock lock(mutex_);
  if (std::holds_alternative<SequenceFinished>(event)) {
    ended_ = --sequences_left_ == 0;
  } else if (std::holds_alternative<RequestFailed>(event)) {
    ended_ = true;
  }
  if (ended_) engine_ = nullptr;
  return ended_;
}

}  // namespace spearfish::worker
