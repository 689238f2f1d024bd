// The worker's gRPC server: its services, health, reflection and transport settings.
#ifndef WORKER_RPC_RPC_SERVER_H_
#define WORKER_RPC_RPC_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/listener_options.h"
#include "worker/rpc/serving_state.h"

namespace spearfish::worker {

struct RpcServerOptions {
  std::string listen = "127.0.0.1:50061";  // unix:PATH or HOST:PORT; port 0 picks a free one
  ListenerOptions listener;
  bool log_requests = false;  // one line for each that generates, when it is over
};

// Listens from Create on, so that health answers while the model is loading. Create, Shutdown and
// the destructor belong to one thread; `state` must outlive it, and so must everything that the
// state's LoadedModel refers to.
class RpcServer {
 public:
  // For clients to answer that the connection ends. One that does not may not have read yet what is
  // in its socket, and would lose it.
  static constexpr absl::Duration kGoodbye = absl::Seconds(5);

  // The errors of Listener::Create; Unavailable when the address can't be bound.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Create(const RpcServerOptions& options,
                                                           ServingState& state);
  virtual ~RpcServer() = default;  // shuts down without grace

  // Where it listens, with the port that was bound.
  virtual const std::string& address() const = 0;

  // Gives admitted calls `grace` to end; after them other calls and idle connections get what is
  // left of it, at most kGoodbye. Cancels the rest and returns when nothing is left. Idempotent.
  virtual void Shutdown(absl::Duration grace) = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_RPC_SERVER_H_
