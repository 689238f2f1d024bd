#include "server/cli/call_token.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/bearer_token.h"
#include "common/rpc/file_version.h"
#include "common/rpc/token_table.h"

namespace spearfish::server::cli {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;

class CallToken final : public grpc::experimental::Interceptor {
 public:
  explicit CallToken(const std::string& token) : token_(token) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert(
          {kAuthorizationKey, absl::StrCat(kBearerScheme, token_)});
    }
    methods->Proceed();
  }

 private:
  const std::string& token_;  // the factory's, which lives as long as the channel
};

}  // namespace

absl::StatusOr<std::string> ReadCallToken(absl::string_view flag, const std::string& path) {
  SF_ASSIGN_OR_RETURN(const SmallFile file, ReadSmallFile(flag, path, kMaxFileBytes));
  const absl::StatusOr<std::string> token = TokenTable::FirstToken(file.text);
  if (token.ok()) return token;
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", path, ": ", token.status().message()));
}

grpc::experimental::Interceptor* CallTokenFactory::CreateClientInterceptor(
    grpc::experimental::ClientRpcInfo* /*info*/) {
  return new CallToken(token_);
}

}  // namespace spearfish::server::cli
