// Pieces of JSON that the answers of both endpoints are made of.
#ifndef SERVER_HTTP_RESPONSE_JSON_H_
#define SERVER_HTTP_RESPONSE_JSON_H_

#include <string>

#include "server/http/json_fields.h"
#include "server/http/response_encoder.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

inline constexpr char kDoneEvent[] = "data: [DONE]\n\n";

// {"id", "object", "created", "model"}.
Json HeadJson(const ResponseHead& head, const char* object);

// "data: {...}\n\n".
std::string EventText(const Json& json);

// "stop", "length", or "abort" for what an operator ended.
std::string FinishName(v1::FinishReason reason);

// The stop string or stop token id that ended it; null otherwise.
Json StopReason(const v1::Finish& finish);

// Tokens of all calls of a request.
class UsageCounter {
 public:
  void Add(const v1::GenerateStreamResponse& message);
  Json ToJson() const;

 private:
  uint64_t prompt_tokens_ = 0;
  uint64_t cached_tokens_ = 0;
  uint64_t completion_tokens_ = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_RESPONSE_JSON_H_
