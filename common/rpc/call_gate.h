// Whether a call may go on to the services, by its token and its certificate.
#ifndef COMMON_RPC_CALL_GATE_H_
#define COMMON_RPC_CALL_GATE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/rpc/token_file.h"

namespace spearfish {

// What the gate looks at.
struct CallHeaders {
  absl::string_view path = {};           // "/package.Service/Method"
  absl::string_view authorization = {};  // empty: none
  // Of the verified client certificate: common name and alternative names.
  std::vector<absl::string_view> peer_names = {};
};

// Thread-safe. Stands before every service of a port, also before methods that are not there.
class CallGate {
 public:
  // `tokens` null: none are asked for. `allowed_clients` empty: every client that the transport
  // lets in.
  CallGate(std::unique_ptr<TokenFile> tokens, std::vector<std::string> allowed_clients)
      : tokens_(std::move(tokens)), allowed_clients_(std::move(allowed_clients)) {}

  bool lets_all_in() const { return tokens_ == nullptr && allowed_clients_.empty(); }
  const TokenFile* tokens() const { return tokens_.get(); }

  // Of every call, whatever its path: PermissionDenied when the certificate has no allowed name.
  absl::Status CheckClient(const std::vector<absl::string_view>& peer_names);

  // The name of the good token in `authorization`, where tokens are asked for.
  std::optional<std::string> TokenName(absl::string_view authorization);

  // CheckClient, and the token. Unauthenticated: no good token, where the message is the same for
  // all that is wrong with it. grpc.health.v1.Health/Check needs no token.
  absl::Status Check(const CallHeaders& call);

 private:
  bool IsAllowedClient(const std::vector<absl::string_view>& peer_names) const;
  void SayRefused(absl::string_view why);

  const std::unique_ptr<TokenFile> tokens_;
  const std::vector<std::string> allowed_clients_;
  std::atomic<uint64_t> num_refused_ = 0;
  std::atomic<int64_t> next_log_ns_ = 0;
};

}  // namespace spearfish

#endif  // COMMON_RPC_CALL_GATE_H_
