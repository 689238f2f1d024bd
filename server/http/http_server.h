// The gateway's HTTP port.
#ifndef SERVER_HTTP_HTTP_SERVER_H_
#define SERVER_HTTP_HTTP_SERVER_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/tls_files.h"
#include "server/http/http_gate.h"
#include "server/http/http_options.h"

namespace spearfish::server {

// Serves OpenAI's API on threads of its own. Thread-safe.
class HttpServer {
 public:
  struct Backend {
    // To the gateway's own services, in process: grpc::Server::InProcessChannel.
    std::shared_ptr<grpc::Channel> channel;
    HttpGate gate;
    std::shared_ptr<ReloadedTls> tls = nullptr;  // shared with the gRPC port; null: plain text
    std::function<bool()> ready;                 // GET /health; from any thread
  };

  // Listens before it returns. InvalidArgument for bad options, Unavailable when the address can't
  // be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(const HttpOptions& options,
                                                            Backend backend);
  // Stops at once if Stop was not called.
  virtual ~HttpServer() = default;

  // HOST:PORT with the port that was bound.
  virtual const std::string& address() const = 0;

  // Accepts nothing more and closes idle connections; what is served gets until `end`, then it is
  // cancelled. Returns when every connection and every call has ended. The services must run until
  // then: an in-process channel breaks off its calls when its server begins to shut down.
  virtual void Stop(absl::Time end) = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_SERVER_H_
