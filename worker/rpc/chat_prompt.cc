#include "worker/rpc/chat_prompt.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/ordered_json.h"

namespace spearfish::worker {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kRemedy[] = "; send the rendered conversation as `text`, or as `token_ids`";

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("invalid request: ", field, " ", what));
}

absl::StatusOr<Json> ParseObject(OrderedJsonParser& parser, absl::string_view text,
                                 absl::string_view field) {
  absl::StatusOr<Json> json = parser.Parse(text);
  if (!json.ok()) return Invalid(field, json.status().message());
  if (!json->is_object()) return Invalid(field, "is not a JSON object");
  return json;
}

absl::StatusOr<Json> ToolCallJson(const v1::ChatToolCall& call, absl::string_view field,
                                  OrderedJsonParser& parser) {
  Json function = {{"name", call.name()}, {"arguments", Json::object()}};
  if (!call.arguments_json().empty()) {
    SF_ASSIGN_OR_RETURN(function["arguments"], ParseObject(parser, call.arguments_json(),
                                                           absl::StrCat(field, ".arguments_json")));
  }
  Json out = Json::object();
  if (!call.id().empty()) out["id"] = call.id();
  out["type"] = "function";
  out["function"] = std::move(function);
  return out;
}

absl::StatusOr<Json> MessageJson(const v1::ChatMessage& message, absl::string_view field,
                                 OrderedJsonParser& parser) {
  if (message.role().empty()) return Invalid(absl::StrCat(field, ".role"), "is empty");
  Json out = {{"role", message.role()}, {"content", message.content()}};
  if (message.has_reasoning_content()) out["reasoning_content"] = message.reasoning_content();
  for (int i = 0; i < message.tool_calls_size(); ++i) {
    SF_ASSIGN_OR_RETURN(
        Json call,
        ToolCallJson(message.tool_calls(i), absl::StrCat(field, ".tool_calls[", i, "]"), parser));
    out["tool_calls"].push_back(std::move(call));
  }
  if (!message.tool_call_id().empty()) out["tool_call_id"] = message.tool_call_id();
  if (!message.name().empty()) out["name"] = message.name();
  return out;
}

absl::StatusOr<ChatInput> ToChatInput(const v1::Chat& chat) {
  if (chat.messages().empty()) return Invalid("chat.messages", "is empty; at least 1 message");
  OrderedJsonParser parser;
  ChatInput input;
  for (int i = 0; i < chat.messages_size(); ++i) {
    SF_ASSIGN_OR_RETURN(Json message, MessageJson(chat.messages(i),
                                                  absl::StrCat("chat.messages[", i, "]"), parser));
    input.messages.push_back(std::move(message));
  }
  for (int i = 0; i < chat.tools_json_size(); ++i) {
    SF_ASSIGN_OR_RETURN(Json tool, ParseObject(parser, chat.tools_json(i),
                                               absl::StrCat("chat.tools_json[", i, "]")));
    input.tools.push_back(std::move(tool));
  }
  if (!chat.variables_json().empty()) {
    SF_ASSIGN_OR_RETURN(input.variables,
                        ParseObject(parser, chat.variables_json(), "chat.variables_json"));
  }
  input.add_generation_prompt = !chat.has_add_generation_prompt() || chat.add_generation_prompt();
  return input;
}

}  // namespace

absl::StatusOr<std::string> RenderChat(
    const v1::Chat& chat, const absl::StatusOr<std::unique_ptr<ChatTemplate>>* chat_template) {
  if (chat_template == nullptr || !chat_template->ok()) {
    const absl::string_view reason = chat_template == nullptr
                                         ? "the checkpoint has no chat template"
                                         : chat_template->status().message();
    return absl::FailedPreconditionError(
        absl::StrCat("chat prompts are not served: ", reason, kRemedy));
  }
  SF_ASSIGN_OR_RETURN(const ChatInput input, ToChatInput(chat));
  absl::StatusOr<std::string> text = (**chat_template)->Render(input);
  if (!text.ok()) return Invalid("chat", absl::StrCat("is refused: ", text.status().message()));
  return text;
}

bool EndsInOpenReasoning(const Tokenizer& tokenizer, std::span<const TokenId> prompt) {
  // Even where the tag is no token of its own and line breaks follow, it lies within so many.
  constexpr size_t kMostTokens = 16;
  const auto end = prompt.last(std::min(prompt.size(), kMostTokens));
  const absl::StatusOr<std::string> text = tokenizer.Decode(end, Tokenizer::SpecialTokens::kAsText);
  return text.ok() && absl::EndsWith(absl::StripTrailingAsciiWhitespace(*text), "<think>");
}

}  // namespace spearfish::worker
