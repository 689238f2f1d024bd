// The credentials of one listening port: TLS that can be renewed, and a gate before the services.
#ifndef COMMON_RPC_PORT_CREDENTIALS_H_
#define COMMON_RPC_PORT_CREDENTIALS_H_

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "common/rpc/call_gate.h"
#include "common/rpc/listen_address.h"
#include "common/rpc/tls_files.h"

namespace spearfish {

struct PortSecurity {
  // Null: no TLS. Shared with the server's other ports that show the same certificate.
  std::shared_ptr<ReloadedTls> tls = nullptr;
  bool requires_client_certificate = false;
  mode_t socket_mode = 0600;  // of a unix socket
  // Shared with whoever asks it for tokens' names.
  std::shared_ptr<CallGate> gate = nullptr;
};

// Written on gRPC's C interface, because its C++ one can neither renew certificates without a
// thread that swallows bad ones, nor put a gate before the services of a port without TLS.
class PortCredentials final : public grpc::ServerCredentials {
 public:
  // What the gate and the handshakes need lives as long as the server's port does.
  PortCredentials(ListenAddress address, PortSecurity security)
      : address_(std::move(address)), security_(std::make_shared<Shared>(std::move(security))) {}

  // The gate is the processor: there is no second one.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override;

 private:
  // Owned by this object and by gRPC's core, which calls back into it.
  struct Shared {
    explicit Shared(PortSecurity with) : security(std::move(with)) {}
    PortSecurity security;
    Mutex mutex;
    std::shared_ptr<const TlsMaterial> served ABSL_GUARDED_BY(mutex);  // last handed out
  };

  // grpc::Server calls it.
  int AddPortToServer(const std::string& address, grpc_server* server) override;
  grpc_server_credentials* MakeTransport() const;
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* shared, grpc_ssl_server_certificate_config** config);
  static void Process(void* shared, grpc_auth_context* context, const grpc_metadata* metadata,
                      size_t num_metadata, grpc_process_auth_metadata_done_cb done, void* call);

  const ListenAddress address_;
  const std::shared_ptr<Shared> security_;
};

}  // namespace spearfish

#endif  // COMMON_RPC_PORT_CREDENTIALS_H_
