// Messages of a GenerateStream call.
#ifndef TESTS_UNIT_SERVER_HTTP_MESSAGES_H_
#define TESTS_UNIT_SERVER_HTTP_MESSAGES_H_

#include <string>

#include "absl/strings/str_split.h"
#include "server/http/json_fields.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

inline v1::GenerateStreamResponse Prompt(uint32_t num_tokens, uint32_t num_cached = 0) {
  v1::GenerateStreamResponse message;
  message.mutable_prompt_info()->set_num_prompt_tokens(num_tokens);
  message.mutable_prompt_info()->set_num_cached_tokens(num_cached);
  return message;
}

inline v1::GenerateStreamResponse Text(uint32_t index, const std::string& text) {
  v1::GenerateStreamResponse message;
  message.mutable_delta()->set_index(index);
  message.mutable_delta()->set_text(text);
  return message;
}

inline v1::GenerateStreamResponse End(uint32_t index, v1::FinishReason reason,
                                      uint32_t num_tokens = 1) {
  v1::GenerateStreamResponse message;
  message.mutable_finish()->set_index(index);
  message.mutable_finish()->set_finish_reason(reason);
  message.mutable_finish()->mutable_usage()->set_completion_tokens(num_tokens);
  return message;
}

// A delta with one token and its log-probability.
inline v1::GenerateStreamResponse Scored(const std::string& bytes, float logprob) {
  v1::GenerateStreamResponse message = Text(0, bytes);
  v1::PositionLogprobs& position = *message.mutable_delta()->add_logprobs();
  position.mutable_chosen()->set_token_bytes(bytes);
  position.mutable_chosen()->set_logprob(logprob);
  *position.add_top() = position.chosen();
  return message;
}

// The JSON of server-sent events, as an array.
inline Json Events(const std::string& text) {
  Json events = Json::array();
  for (absl::string_view event : absl::StrSplit(text, "\n\n", absl::SkipEmpty())) {
    event.remove_prefix(6);  // "data: "
    events.push_back(Json::parse(event.begin(), event.end()));
  }
  return events;
}

}  // namespace spearfish::server

#endif  // TESTS_UNIT_SERVER_HTTP_MESSAGES_H_
