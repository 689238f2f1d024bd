// When a refused call may be tried again.
#ifndef SERVER_HTTP_PUSHBACK_H_
#define SERVER_HTTP_PUSHBACK_H_

#include <grpcpp/client_context.h>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spearfish::server {

// What the trailer of a call that is done says; zero where it says nothing.
inline absl::Duration PushbackOf(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("grpc-retry-pushback-ms");
  int64_t ms = 0;
  if (found == trailers.end() ||
      !absl::SimpleAtoi(absl::string_view(found->second.data(), found->second.size()), &ms)) {
    return absl::ZeroDuration();
  }
  return absl::Milliseconds(ms);
}

}  // namespace spearfish::server

#endif  // SERVER_HTTP_PUSHBACK_H_
