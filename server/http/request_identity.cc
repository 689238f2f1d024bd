#include "server/http/request_identity.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "common/rpc/caller_identity.h"

namespace spearfish::server {
namespace {

constexpr size_t kMostRequestIdBytes = 128;
constexpr size_t kMostTraceBytes = 512;

// gRPC ends the process on metadata that it can't send.
bool IsMetadata(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return byte >= 0x20 && byte < 0x7f; });
}

std::string TraceOrNothing(const std::string& text) {
  return IsMetadata(text) && text.size() <= kMostTraceBytes ? text : std::string();
}

}  // namespace

RequestIdentity IdentityOf(const HttpRequest& request) {
  RequestIdentity identity{.caller = request.caller};
  identity.traceparent = TraceOrNothing(request.traceparent);
  if (!identity.traceparent.empty()) identity.tracestate = TraceOrNothing(request.tracestate);
  return identity;
}

void Apply(const RequestIdentity& identity, grpc::ClientContext& context) {
  CallFor(identity.caller, context);
  if (!identity.traceparent.empty()) context.AddMetadata("traceparent", identity.traceparent);
  if (!identity.tracestate.empty()) context.AddMetadata("tracestate", identity.tracestate);
}

bool IsRequestId(absl::string_view text) {
  return !text.empty() && text.size() <= kMostRequestIdBytes &&
         std::all_of(text.begin(), text.end(), [](char byte) {
           return absl::ascii_isalnum(static_cast<unsigned char>(byte)) || byte == '-' ||
                  byte == '_' || byte == '.' || byte == ':';
         });
}

}  // namespace spearfish::server
