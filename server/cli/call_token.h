// The bearer token on every call of a channel.
#ifndef SERVER_CLI_CALL_TOKEN_H_
#define SERVER_CLI_CALL_TOKEN_H_

#include <grpcpp/support/client_interceptor.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish::server::cli {

// The first token of a file in TokenTable's form. Errors name `flag`, file and remedy, never what
// is in the file.
absl::StatusOr<std::string> ReadCallToken(absl::string_view flag, const std::string& path);

// Makes interceptors that add the token to the metadata. (gRPC's own call credentials do not work
// in plain text, which a loopback address or a unix socket may be.) Belongs to a channel.
class CallTokenFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit CallTokenFactory(std::string token) : token_(std::move(token)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* info) override;

 private:
  const std::string token_;
};

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_CALL_TOKEN_H_
