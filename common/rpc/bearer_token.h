// The form of a bearer token on the wire: metadata `authorization: Bearer TOKEN` (RFC 6750).
#ifndef COMMON_RPC_BEARER_TOKEN_H_
#define COMMON_RPC_BEARER_TOKEN_H_

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace spearfish {

inline constexpr char kAuthorizationKey[] = "authorization";
inline constexpr char kBearerScheme[] = "Bearer ";

// The token in the value of an authorization header; the scheme's case does not matter.
inline std::optional<absl::string_view> BearerToken(absl::string_view header) {
  if (!absl::StartsWithIgnoreCase(header, kBearerScheme)) return std::nullopt;
  return header.substr(sizeof(kBearerScheme) - 1);
}

}  // namespace spearfish

#endif  // COMMON_RPC_BEARER_TOKEN_H_
