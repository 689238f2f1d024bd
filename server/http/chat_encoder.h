// Answers of POST /v1/chat/completions.
#ifndef SERVER_HTTP_CHAT_ENCODER_H_
#define SERVER_HTTP_CHAT_ENCODER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "server/http/assistant_parser.h"
#include "server/http/json_fields.h"
#include "server/http/response_encoder.h"
#include "server/http/response_json.h"

namespace spearfish::server {

struct ChatEncoderOptions {
  ResponseHead head = {};
  uint32_t num_choices = 1;
  bool logprobs = false;
  bool include_usage = false;  // of a stream: a last chunk
  // begins_in_reasoning is known only from the PromptInfo.
  AssistantFormat format = {};
};

// What both forms share: one parser for each choice.
class ChatChoices {
 public:
  explicit ChatChoices(const ChatEncoderOptions& options);

  void Begin(const v1::PromptInfo& info);
  size_t size() const { return parsers_.size(); }
  AssistantParser& parser(uint32_t index) { return parsers_.at(index); }
  // OpenAI's form of a call, with an id that no other call of the answer has.
  Json ToolCallJson(uint32_t index, const ToolCall& call);
  uint32_t num_tool_calls(uint32_t index) const { return num_tool_calls_.at(index); }
  std::string FinishReason(const v1::Finish& finish) const;

 private:
  const std::string id_;
  const AssistantFormat format_;
  std::vector<AssistantParser> parsers_;
  std::vector<uint32_t> num_tool_calls_;
};

// The whole answer at the end.
class ChatCompletionEncoder final : public ResponseEncoder {
 public:
  explicit ChatCompletionEncoder(ChatEncoderOptions options);

  std::string Add(size_t call, const v1::GenerateStreamResponse& message) override;
  std::string End() override;

 private:
  struct Choice {
    AssistantDelta output;
    Json logprobs = Json::array();
    v1::Finish finish;
  };
  void Append(uint32_t index, AssistantDelta delta);
  Json ChoiceJson(uint32_t index);

  const ChatEncoderOptions options_;
  ChatChoices choices_;
  UsageCounter usage_;
  std::vector<Choice> outputs_;
};

// Chunks as they come.
class ChatChunkEncoder final : public ResponseEncoder {
 public:
  explicit ChatChunkEncoder(ChatEncoderOptions options);

  std::string Add(size_t call, const v1::GenerateStreamResponse& message) override;
  std::string End() override;

 private:
  std::string Begin(const v1::PromptInfo& info);
  std::string Delta(const v1::Delta& delta);
  std::string Finish(const v1::Finish& finish);
  // {"content", "reasoning_content", "tool_calls"}, as far as there is any.
  Json DeltaJson(uint32_t index, const AssistantDelta& delta);
  Json Chunk(Json choices) const;

  const ChatEncoderOptions options_;
  ChatChoices choices_;
  UsageCounter usage_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_CHAT_ENCODER_H_
