#include "server/http/chat_encoder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/logprobs_json.h"

namespace spearfish::server {
namespace {

Json ChoiceHead(uint32_t index) { return {{"index", index}}; }

}  // namespace

ChatChoices::ChatChoices(const ChatEncoderOptions& options)
    : id_(options.head.id),
      format_(options.format),
      parsers_(options.num_choices, AssistantParser(options.format)),
      num_tool_calls_(options.num_choices) {}

void ChatChoices::Begin(const v1::PromptInfo& info) {
  if (!info.begins_in_reasoning()) return;
  AssistantFormat format = format_;
  format.begins_in_reasoning = true;
  const size_t count = parsers_.size();
  parsers_.clear();
  for (size_t i = 0; i < count; ++i) parsers_.emplace_back(format);
}

Json ChatChoices::ToolCallJson(uint32_t index, const ToolCall& call) {
  const uint32_t number = num_tool_calls_.at(index)++;
  return {{"id", absl::StrCat("call_", id_, "_", index, "_", number)},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

std::string ChatChoices::FinishReason(const v1::Finish& finish) const {
  const bool called = num_tool_calls(finish.index()) > 0;
  if (called && finish.finish_reason() == v1::FINISH_REASON_STOP) return "tool_calls";
  return FinishName(finish.finish_reason());
}

ChatCompletionEncoder::ChatCompletionEncoder(ChatEncoderOptions options)
    : options_(std::move(options)), choices_(options_), outputs_(options_.num_choices) {}

std::string ChatCompletionEncoder::Add(size_t /*call*/, const v1::GenerateStreamResponse& message) {
  usage_.Add(message);
  if (message.has_prompt_info()) choices_.Begin(message.prompt_info());
  if (message.has_delta() && message.delta().index() < outputs_.size()) {
    const v1::Delta& delta = message.delta();
    Append(delta.index(), choices_.parser(delta.index()).Add(delta.text()));
    AppendChatLogprobs(delta.logprobs(), outputs_[delta.index()].logprobs);
  }
  if (message.has_finish() && message.finish().index() < outputs_.size()) {
    const uint32_t index = message.finish().index();
    Append(index, choices_.parser(index).Finish());
    outputs_[index].finish = message.finish();
  }
  return "";
}

void ChatCompletionEncoder::Append(uint32_t index, AssistantDelta delta) {
  AssistantDelta& output = outputs_[index].output;
  output.reasoning += delta.reasoning;
  output.content += delta.content;
  for (ToolCall& call : delta.tool_calls) output.tool_calls.push_back(std::move(call));
}

Json ChatCompletionEncoder::ChoiceJson(uint32_t index) {
  Choice& output = outputs_[index];
  Json message = {{"role", "assistant"}, {"content", output.output.content}};
  if (!output.output.reasoning.empty()) message["reasoning_content"] = output.output.reasoning;
  if (!output.output.tool_calls.empty()) {
    if (output.output.content.empty()) message["content"] = nullptr;
    Json calls = Json::array();
    for (const ToolCall& call : output.output.tool_calls) {
      calls.push_back(choices_.ToolCallJson(index, call));
    }
    message["tool_calls"] = std::move(calls);
  }
  Json choice = ChoiceHead(index);
  choice["message"] = std::move(message);
  choice["logprobs"] = nullptr;
  if (options_.logprobs) choice["logprobs"] = {{"content", std::move(output.logprobs)}};
  choice["finish_reason"] = choices_.FinishReason(output.finish);
  choice["stop_reason"] = StopReason(output.finish);
  return choice;
}

std::string ChatCompletionEncoder::End() {
  Json body = HeadJson(options_.head, "chat.completion");
  Json choices = Json::array();
  for (uint32_t i = 0; i < outputs_.size(); ++i) {
    outputs_[i].finish.set_index(i);
    choices.push_back(ChoiceJson(i));
  }
  body["choices"] = std::move(choices);
  body["usage"] = usage_.ToJson();
  return JsonText(body);
}

ChatChunkEncoder::ChatChunkEncoder(ChatEncoderOptions options)
    : options_(std::move(options)), choices_(options_) {}

std::string ChatChunkEncoder::Add(size_t /*call*/, const v1::GenerateStreamResponse& message) {
  usage_.Add(message);
  if (message.has_prompt_info()) return Begin(message.prompt_info());
  if (message.has_delta() && message.delta().index() < choices_.size()) {
    return Delta(message.delta());
  }
  if (message.has_finish() && message.finish().index() < choices_.size()) {
    return Finish(message.finish());
  }
  return "";
}

Json ChatChunkEncoder::Chunk(Json choices) const {
  Json chunk = HeadJson(options_.head, "chat.completion.chunk");
  chunk["choices"] = std::move(choices);
  if (options_.include_usage) chunk["usage"] = nullptr;
  return chunk;
}

std::string ChatChunkEncoder::Begin(const v1::PromptInfo& info) {
  choices_.Begin(info);
  std::string events;
  for (uint32_t i = 0; i < choices_.size(); ++i) {
    Json choice = ChoiceHead(i);
    choice["delta"] = {{"role", "assistant"}, {"content", ""}};
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = nullptr;
    absl::StrAppend(&events, EventText(Chunk(Json::array({std::move(choice)}))));
  }
  return events;
}

Json ChatChunkEncoder::DeltaJson(uint32_t index, const AssistantDelta& delta) {
  Json out = Json::object();
  if (!delta.reasoning.empty()) out["reasoning_content"] = delta.reasoning;
  if (!delta.content.empty()) out["content"] = delta.content;
  if (delta.tool_calls.empty()) return out;
  Json calls = Json::array();
  for (const ToolCall& call : delta.tool_calls) {
    Json entry = {{"index", choices_.num_tool_calls(index)}};
    entry.update(choices_.ToolCallJson(index, call));
    calls.push_back(std::move(entry));
  }
  out["tool_calls"] = std::move(calls);
  return out;
}

std::string ChatChunkEncoder::Delta(const v1::Delta& delta) {
  const AssistantDelta parsed = choices_.parser(delta.index()).Add(delta.text());
  if (parsed.empty() && delta.logprobs().empty()) return "";
  Json choice = ChoiceHead(delta.index());
  choice["delta"] = DeltaJson(delta.index(), parsed);
  choice["logprobs"] = nullptr;
  if (options_.logprobs) {
    Json content = Json::array();
    AppendChatLogprobs(delta.logprobs(), content);
    choice["logprobs"] = {{"content", std::move(content)}};
  }
  choice["finish_reason"] = nullptr;
  return EventText(Chunk(Json::array({std::move(choice)})));
}

std::string ChatChunkEncoder::Finish(const v1::Finish& finish) {
  const AssistantDelta rest = choices_.parser(finish.index()).Finish();
  Json choice = ChoiceHead(finish.index());
  choice["delta"] = DeltaJson(finish.index(), rest);
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = choices_.FinishReason(finish);
  choice["stop_reason"] = StopReason(finish);
  return EventText(Chunk(Json::array({std::move(choice)})));
}

std::string ChatChunkEncoder::End() {
  if (!options_.include_usage) return "";
  Json chunk = Chunk(Json::array());
  chunk["usage"] = usage_.ToJson();
  return EventText(chunk);
}

}  // namespace spearfish::server
