// What ties one call to its request in the engine.
#ifndef WORKER_RPC_ENGINE_LINK_H_
#define WORKER_RPC_ENGINE_LINK_H_

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "worker/engine/engine.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

// Thread-safe: Submit runs on a thread of gRPC's or on the task thread, Cancel on any of gRPC's,
// Observe on the engine's. Invariant: Abort reaches the engine at most once, only for a request
// that it has, and a cancellation is never lost, whichever of Submit and Cancel comes first. No
// lock is held while the engine is called.
class EngineLink {
 public:
  // Cancelled when Cancel came before; else the engine's answer. The engine must outlive the link.
  absl::Status Submit(Engine& engine, GenerationRequest request, EventSink sink);

  // Ends the request within one engine step; its sink still hears of the end.
  void Cancel();

  // To be told of every event; true for the last one.
  bool Observe(const EngineEvent& event);

 private:
  mutable Mutex mutex_;
  Engine* engine_ ABSL_GUARDED_BY(mutex_) = nullptr;  // set while the engine has the request
  std::string request_id_ ABSL_GUARDED_BY(mutex_);
  uint32_t sequences_left_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_ENGINE_LINK_H_
