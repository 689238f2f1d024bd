// One listening port of a server: its address, its security and its limits.
#ifndef COMMON_RPC_LISTENER_H_
#define COMMON_RPC_LISTENER_H_

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/rpc/call_gate.h"
#include "common/rpc/listen_address.h"
#include "common/rpc/listener_options.h"
#include "common/rpc/port_credentials.h"
#include "common/rpc/tls_files.h"
#include "common/rpc/token_file.h"
#include "common/rpc/transport_limits.h"

namespace spearfish {

// Made before the server is built and used by one thread; the server may outlive it.
class Listener {
 public:
  // Reads all files. InvalidArgument, NotFound or PermissionDenied naming flag, file and remedy;
  // AlreadyExists when the socket's path is taken (a stale socket is removed).
  static absl::StatusOr<std::unique_ptr<Listener>> Create(const std::string& address,
                                                          const ListenerOptions& options);

  // Port, credentials and limits. The listener must live until the server is built.
  void AddTo(grpc::ServerBuilder& builder);

  // HOST:PORT with the port that was bound, or unix:PATH. Unavailable when it was not.
  absl::StatusOr<std::string> BoundAddress(bool server_started) const;

  // What the port's gate asks, for fronts that check tokens themselves and for CallerOf: tokens()
  // is null when none are asked for. Shared: it outlives listener and server for as long as it is
  // held.
  std::shared_ptr<CallGate> gate() const { return gate_; }
  // Null without TLS. Shared as the gate is, for ports that show the same certificate.
  std::shared_ptr<ReloadedTls> tls() const { return tls_; }
  bool is_encrypted() const { return tls_ != nullptr; }

 private:
  Listener(ListenAddress address, const TransportLimits& limits)
      : address_(std::move(address)), limits_(limits) {}
  absl::Status Open(const ListenerOptions& options);

  const ListenAddress address_;
  const TransportLimits limits_;
  std::shared_ptr<CallGate> gate_;
  std::shared_ptr<ReloadedTls> tls_;
  std::shared_ptr<PortCredentials> credentials_;  // shared with the builder, as gRPC's API wants
  int bound_port_ = 0;
};

}  // namespace spearfish

#endif  // COMMON_RPC_LISTENER_H_
