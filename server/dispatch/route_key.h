// What a request has in common with others that should go to the same worker. Pure.
#ifndef SERVER_DISPATCH_ROUTE_KEY_H_
#define SERVER_DISPATCH_ROUTE_KEY_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/dispatch/dispatch_policy.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// Prompts that agree so far have the same key.
inline constexpr int kPrefixTokens = 64;
inline constexpr size_t kPrefixBytes = 256;

// FNV-1a, the same in every gateway and release; never 0.
uint64_t HashBytes(absl::string_view bytes);
uint64_t HashTokens(const v1::TokenIds& prompt);
uint64_t HashChat(const v1::Chat& prompt);

// 0 = nothing to go by.
template <typename Request>
uint64_t AffinityKey(DispatchPolicy policy, const Request& request) {
  if (policy == DispatchPolicy::kSessionAffinity) {
    return request.session_id().empty() ? 0 : HashBytes(request.session_id());
  }
  if (policy != DispatchPolicy::kPrefixAffinity) return 0;
  switch (request.prompt_case()) {
    case Request::kTokenIds:
      return HashTokens(request.token_ids());
    case Request::kText:
      return HashBytes(absl::string_view(request.text()).substr(0, kPrefixBytes));
    case Request::kChat:
      return HashChat(request.chat());
    case Request::PROMPT_NOT_SET:
      break;
  }
  return 0;
}

// Sequences that it will run.
template <typename Request>
uint32_t NumSequences(const Request& request) {
  return std::clamp<uint32_t>(request.sampling().num_sequences(), 1, 64);
}

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_ROUTE_KEY_H_
