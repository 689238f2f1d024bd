// Log-probabilities as OpenAI's two endpoints write them.
#ifndef SERVER_HTTP_LOGPROBS_JSON_H_
#define SERVER_HTTP_LOGPROBS_JSON_H_

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/http/json_fields.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

using LogprobList = google::protobuf::RepeatedPtrField<v1::PositionLogprobs>;

// A token's bytes as text: as they are where they are UTF-8, else "bytes:\xe2\x82".
std::string TokenText(absl::string_view bytes);

// Of a chat: appends {"token", "logprob", "bytes", "top_logprobs"} for each position.
void AppendChatLogprobs(const LogprobList& positions, Json& content);

// Of a text completion: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, grown as
// tokens come. Offsets count characters of the tokens' own text.
class CompletionLogprobs {
 public:
  void Append(const LogprobList& positions);
  // What came since the last Take.
  Json Take();

 private:
  Json tokens_ = Json::array();
  Json token_logprobs_ = Json::array();
  Json top_logprobs_ = Json::array();
  Json text_offset_ = Json::array();
  uint64_t offset_ = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_LOGPROBS_JSON_H_
