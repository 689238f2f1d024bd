#include "server/http/response_json.h"

#include "absl/strings/str_cat.h"

namespace spearfish::server {

Json HeadJson(const ResponseHead& head, const char* object) {
  return {{"id", head.id}, {"object", object}, {"created", head.created}, {"model", head.model}};
}

std::string EventText(const Json& json) { return absl::StrCat("data: ", JsonText(json), "\n\n"); }

std::string FinishName(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_LENGTH:
      return "length";
    case v1::FINISH_REASON_ABORTED:
      return "abort";
    default:
      return "stop";
  }
}

Json StopReason(const v1::Finish& finish) {
  if (finish.has_stop_string()) return finish.stop_string();
  if (finish.has_stop_token_id()) return finish.stop_token_id();
  return nullptr;
}

void UsageCounter::Add(const v1::GenerateStreamResponse& message) {
  if (message.has_prompt_info()) {
    prompt_tokens_ += message.prompt_info().num_prompt_tokens();
    cached_tokens_ += message.prompt_info().num_cached_tokens();
  }
  if (message.has_finish()) completion_tokens_ += message.finish().usage().completion_tokens();
}

Json UsageCounter::ToJson() const {
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", completion_tokens_},
          {"total_tokens", prompt_tokens_ + completion_tokens_},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}}};
}

}  // namespace spearfish::server
