#include "common/rpc/call_gate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/bearer_token.h"

namespace spearfish {
namespace {

// Not Watch: anybody could hold streams.
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
// Who calls without end must not fill the disk.
constexpr absl::Duration kLogInterval = absl::Seconds(10);

}  // namespace

bool CallGate::IsAllowedClient(const std::vector<absl::string_view>& peer_names) const {
  return std::any_of(
      allowed_clients_.begin(), allowed_clients_.end(), [&peer_names](const std::string& allowed) {
        return std::find(peer_names.begin(), peer_names.end(), allowed) != peer_names.end();
      });
}

std::optional<std::string> CallGate::TokenName(absl::string_view authorization) {
  // An absent token is looked up, too: the answer takes as long.
  std::optional<std::string> name = tokens_->NameOf(BearerToken(authorization).value_or(""));
  if (!name.has_value()) SayRefused("it has no valid bearer token");
  return name;
}

void CallGate::SayRefused(absl::string_view why) {
  const uint64_t num_refused = ++num_refused_;
  const absl::Time now = absl::Now();
  int64_t due = next_log_ns_;
  if (absl::ToUnixNanos(now) < due) return;
  if (!next_log_ns_.compare_exchange_strong(due, absl::ToUnixNanos(now + kLogInterval))) return;
  LogWarning(absl::StrCat("refused a call: ", why, "; ", num_refused, " refused since the start"));
}

absl::Status CallGate::CheckClient(const std::vector<absl::string_view>& peer_names) {
  if (allowed_clients_.empty() || IsAllowedClient(peer_names)) return absl::OkStatus();
  SayRefused("the client's certificate has none of the allowed names");
  return absl::PermissionDeniedError("this client may not call this server");
}

absl::Status CallGate::Check(const CallHeaders& call) {
  SF_RETURN_IF_ERROR(CheckClient(call.peer_names));
  if (tokens_ == nullptr || call.path == kHealthCheck) return absl::OkStatus();
  if (TokenName(call.authorization).has_value()) return absl::OkStatus();
  return absl::UnauthenticatedError(
      "no valid bearer token; send the metadata authorization: Bearer TOKEN");
}

}  // namespace spearfish
