// The body of POST /v1/completions as spearfish.v1 requests. Pure.
#ifndef SERVER_HTTP_COMPLETION_REQUEST_H_
#define SERVER_HTTP_COMPLETION_REQUEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/http/generation_fields.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

struct CompletionRequest {
  // One per prompt, in order; without request_id.
  std::vector<v1::GenerateStreamRequest> requests;
  // What comes before each prompt's output: the prompt with `echo`, else nothing.
  std::vector<std::string> echoes;
  StreamFields stream;
};

// The prompt is a string, token ids, or an array of either: at most 1,024. Fields that are not
// known are ignored. InvalidArgument names the field (ParamOf). `echo` is refused with token ids,
// whose text is not known here, and with log-probabilities, which would have to cover the prompt.
absl::StatusOr<CompletionRequest> ReadCompletionRequest(absl::string_view body);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_COMPLETION_REQUEST_H_
