// Answers of POST /v1/completions.
#ifndef SERVER_HTTP_COMPLETION_ENCODER_H_
#define SERVER_HTTP_COMPLETION_ENCODER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "server/http/json_fields.h"
#include "server/http/logprobs_json.h"
#include "server/http/response_encoder.h"
#include "server/http/response_json.h"

namespace spearfish::server {

struct CompletionEncoderOptions {
  ResponseHead head = {};
  // One per prompt: what its choices begin with.
  std::vector<std::string> echoes = {};
  uint32_t choices_per_prompt = 1;
  bool logprobs = false;
  bool include_usage = false;  // of a stream: a last chunk
};

// Choice `call * choices_per_prompt + index`: those of a prompt stand together, prompts in order.
class CompletionEncoder final : public ResponseEncoder {
 public:
  enum class Form { kWhole, kChunks };
  CompletionEncoder(CompletionEncoderOptions options, Form form);

  std::string Add(size_t call, const v1::GenerateStreamResponse& message) override;
  std::string End() override;

 private:
  struct Choice {
    std::string text;  // what has not been sent; all of it where the answer is sent whole
    CompletionLogprobs logprobs;
    v1::Finish finish;
    bool finished = false;
  };
  std::string Changed(size_t number);
  Json ChoiceJson(size_t number);

  const CompletionEncoderOptions options_;
  const Form form_;
  std::vector<Choice> choices_;
  UsageCounter usage_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_COMPLETION_ENCODER_H_
