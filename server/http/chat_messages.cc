#include "server/http/chat_messages.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::server {
namespace {

absl::StatusOr<std::string> RequiredText(const JsonFields& fields, const char* name) {
  SF_ASSIGN_OR_RETURN(std::optional<std::string> text, fields.Text(name));
  if (!text || text->empty()) return InvalidField(fields.PathOf(name), "is missing");
  return *std::move(text);
}

absl::StatusOr<std::string> PartText(const Json& part, const std::string& path) {
  SF_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(part, path));
  SF_ASSIGN_OR_RETURN(const std::string type, RequiredText(fields, "type"));
  if (type != "text") {
    return InvalidField(fields.PathOf("type"), "is not supported: only parts of type text are");
  }
  SF_ASSIGN_OR_RETURN(std::optional<std::string> text, fields.Text("text"));
  if (!text) return InvalidField(fields.PathOf("text"), "is missing");
  return *std::move(text);
}

absl::Status ReadContent(const JsonFields& fields, v1::ChatMessage& message) {
  const Json* const content = fields.Find("content");
  if (content == nullptr) {
    // An assistant may have called tools only.
    if (message.role() == "assistant") return absl::OkStatus();
    return InvalidField(fields.PathOf("content"), "is missing");
  }
  if (content->is_string()) {
    message.set_content(content->get_ref<const std::string&>());
    return absl::OkStatus();
  }
  const std::string path = fields.PathOf("content");
  if (!content->is_array()) return WrongType(path, *content, "a string or an array of parts");
  for (size_t i = 0; i < content->size(); ++i) {
    SF_ASSIGN_OR_RETURN(const std::string text,
                        PartText((*content)[i], absl::StrCat(path, "[", i, "]")));
    message.mutable_content()->append(text);
  }
  return absl::OkStatus();
}

// Without building it: the worker does, and bounds the work of a whole request.
bool IsJsonObject(absl::string_view text) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "{") &&
         Json::accept(text.begin(), text.end());
}

absl::Status ReadToolCall(const JsonFields& fields, v1::ChatToolCall& call) {
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> id, fields.Text("id"));
  call.set_id(id.value_or(""));
  SF_ASSIGN_OR_RETURN(const Json* const function, fields.Object("function"));
  if (function == nullptr) return InvalidField(fields.PathOf("function"), "is missing");
  SF_ASSIGN_OR_RETURN(const JsonFields members,
                      JsonFields::Of(*function, fields.PathOf("function")));
  SF_ASSIGN_OR_RETURN(const std::string name, RequiredText(members, "name"));
  call.set_name(name);
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> arguments, members.Text("arguments"));
  if (!arguments || arguments->empty()) return absl::OkStatus();
  if (!IsJsonObject(*arguments)) {
    return InvalidField(members.PathOf("arguments"), "is not the text of a JSON object");
  }
  call.set_arguments_json(*arguments);
  return absl::OkStatus();
}

absl::Status ReadToolCalls(const JsonFields& fields, v1::ChatMessage& message) {
  SF_ASSIGN_OR_RETURN(const Json* const calls, fields.Array("tool_calls"));
  if (calls == nullptr) return absl::OkStatus();
  for (size_t i = 0; i < calls->size(); ++i) {
    SF_ASSIGN_OR_RETURN(
        const JsonFields call,
        JsonFields::Of((*calls)[i], fields.PathOf(absl::StrCat("tool_calls[", i, "]"))));
    SF_RETURN_IF_ERROR(ReadToolCall(call, *message.add_tool_calls()));
  }
  return absl::OkStatus();
}

absl::Status ReadRole(const JsonFields& fields, v1::ChatMessage& message) {
  SF_ASSIGN_OR_RETURN(const std::string role, RequiredText(fields, "role"));
  for (const char* known : {"system", "user", "assistant", "tool"}) {
    if (role == known) message.set_role(role);
  }
  // What newer models of OpenAI's call a system prompt; templates know only the latter.
  if (role == "developer") message.set_role("system");
  if (!message.role().empty()) return absl::OkStatus();
  return InvalidField(fields.PathOf("role"),
                      "is not one of developer, system, user, assistant, tool");
}

absl::Status ReadMessage(const JsonFields& fields, v1::ChatMessage& message) {
  SF_RETURN_IF_ERROR(ReadRole(fields, message));
  SF_RETURN_IF_ERROR(ReadContent(fields, message));
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> name, fields.Text("name"));
  message.set_name(name.value_or(""));
  if (message.role() == "assistant") {
    SF_ASSIGN_OR_RETURN(const std::optional<std::string> reasoning,
                        fields.Text("reasoning_content"));
    if (reasoning) message.set_reasoning_content(*reasoning);
    return ReadToolCalls(fields, message);
  }
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> call_id, fields.Text("tool_call_id"));
  message.set_tool_call_id(call_id.value_or(""));
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadMessages(const JsonFields& fields, v1::Chat& chat) {
  SF_ASSIGN_OR_RETURN(const Json* const messages, fields.Array("messages"));
  if (messages == nullptr || messages->empty()) {
    return InvalidField("messages", "is missing or empty");
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    SF_ASSIGN_OR_RETURN(const JsonFields message,
                        JsonFields::Of((*messages)[i], absl::StrCat("messages[", i, "]")));
    SF_RETURN_IF_ERROR(ReadMessage(message, *chat.add_messages()));
  }
  return absl::OkStatus();
}

}  // namespace spearfish::server
