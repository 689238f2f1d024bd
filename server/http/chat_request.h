// The body of POST /v1/chat/completions as a spearfish.v1 request. Pure.
#ifndef SERVER_HTTP_CHAT_REQUEST_H_
#define SERVER_HTTP_CHAT_REQUEST_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/http/generation_fields.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

struct ChatRequest {
  v1::GenerateStreamRequest request;  // without request_id
  StreamFields stream;
  // The template was given tools: calls of them are looked for in the output.
  bool tools = false;
  // Reasoning is looked for in the output: unless the client switched thinking off.
  bool reasoning = true;
};

// Fields that are not known are ignored, as OpenAI-compatible servers do. InvalidArgument names the
// field (ParamOf).
absl::StatusOr<ChatRequest> ReadChatRequest(absl::string_view body);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_CHAT_REQUEST_H_
