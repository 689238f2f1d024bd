// How a client's channels are secured: gateway to worker, or the command-line client to either.
#ifndef COMMON_RPC_CHANNEL_SECURITY_H_
#define COMMON_RPC_CHANNEL_SECURITY_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/rpc/tls_files.h"

namespace spearfish {

struct ChannelSecurityOptions {
  // "--tls": TLS with the host's own authorities; implied by every other field.
  bool tls = false;
  TlsFiles files = {};
  // What the server's certificate must name, instead of the host in the address.
  std::string server_name = {};

  bool wants_tls() const {
    return tls || !files.certificate.empty() || !files.key.empty() || !files.authorities.empty() ||
           !server_name.empty();
  }
};

// Thread-safe. A channel keeps the credentials that it was made with: who holds channels for long
// compares versions and makes them anew.
class ChannelSecurity {
 public:
  struct Credentials {
    std::shared_ptr<grpc::ChannelCredentials> credentials;  // shared with channels, as gRPC wants
    uint64_t version = 0;                                   // other files, other version; never 0
  };

  // Plain text when wants_tls is false. Errors as of OpenTlsFiles.
  static absl::StatusOr<std::unique_ptr<ChannelSecurity>> Create(ChannelSecurityOptions options);

  Credentials Current();
  // What a channel with these credentials needs besides.
  void Adapt(grpc::ChannelArguments& arguments) const;
  bool is_encrypted() const { return tls_ != nullptr; }

 private:
  ChannelSecurity(ChannelSecurityOptions options, std::unique_ptr<ReloadedTls> tls)
      : options_(std::move(options)), tls_(std::move(tls)) {}

  const ChannelSecurityOptions options_;
  const std::unique_ptr<ReloadedTls> tls_;  // null: plain text
  Mutex mutex_;
  std::shared_ptr<const TlsMaterial> material_ ABSL_GUARDED_BY(mutex_);  // what current_ is made of
  Credentials current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish

#endif  // COMMON_RPC_CHANNEL_SECURITY_H_
