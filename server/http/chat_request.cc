#include "server/http/chat_request.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/http/chat_messages.h"
#include "server/http/json_fields.h"

namespace spearfish::server {
namespace {

constexpr size_t kMostTools = 1024;

absl::StatusOr<std::string> ToolJson(const Json& tool, const std::string& path) {
  SF_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(tool, path));
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> type, fields.Text("type"));
  if (type != "function") {
    return InvalidField(fields.PathOf("type"), "is not supported: only tools of type function are");
  }
  SF_ASSIGN_OR_RETURN(const Json* const function, fields.Object("function"));
  if (function == nullptr) return InvalidField(fields.PathOf("function"), "is missing");
  SF_ASSIGN_OR_RETURN(const JsonFields members,
                      JsonFields::Of(*function, fields.PathOf("function")));
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> name, members.Text("name"));
  if (!name || name->empty()) return InvalidField(members.PathOf("name"), "is missing");
  return JsonText(tool);
}

absl::StatusOr<bool> MayCallTools(const JsonFields& fields) {
  const Json* const choice = fields.Find("tool_choice");
  if (choice == nullptr || *choice == "auto") return true;
  if (*choice == "none") return false;
  return InvalidField("tool_choice", "is not supported: only \"auto\" and \"none\" are");
}

// With tool_choice none the template does not see them: the model can't call what it doesn't know.
absl::Status ReadTools(const JsonFields& fields, ChatRequest& out) {
  SF_ASSIGN_OR_RETURN(const bool may_call, MayCallTools(fields));
  SF_ASSIGN_OR_RETURN(const Json* const tools, fields.Array("tools"));
  if (tools == nullptr) return absl::OkStatus();
  if (tools->size() > kMostTools) {
    return InvalidField("tools",
                        absl::StrCat("has ", tools->size(), " entries, at most ", kMostTools));
  }
  for (size_t i = 0; i < tools->size(); ++i) {
    SF_ASSIGN_OR_RETURN(const std::string tool,
                        ToolJson((*tools)[i], absl::StrCat("tools[", i, "]")));
    if (may_call) out.request.mutable_chat()->add_tools_json(tool);
  }
  out.tools = !out.request.chat().tools_json().empty();
  return absl::OkStatus();
}

absl::Status ReadTemplateFields(const JsonFields& fields, ChatRequest& out) {
  v1::Chat& chat = *out.request.mutable_chat();
  if (fields.Has("add_generation_prompt")) {
    SF_ASSIGN_OR_RETURN(const bool add, fields.Flag("add_generation_prompt"));
    chat.set_add_generation_prompt(add);
  }
  SF_ASSIGN_OR_RETURN(const Json* const variables, fields.Object("chat_template_kwargs"));
  if (variables == nullptr) return absl::OkStatus();
  chat.set_variables_json(JsonText(*variables));
  const auto thinking = variables->find("enable_thinking");
  out.reasoning = thinking == variables->end() || *thinking != false;
  return absl::OkStatus();
}

absl::Status ReadMaxTokens(const JsonFields& fields, v1::Stopping& stopping) {
  for (const char* name : {"max_completion_tokens", "max_tokens"}) {
    SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> count, fields.Count(name));
    if (!count) continue;
    if (*count == 0) return InvalidField(name, "is 0; leave it out for no limit");
    stopping.set_max_tokens(*count);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status ReadLogprobs(const JsonFields& fields, v1::Output& output) {
  SF_ASSIGN_OR_RETURN(const bool logprobs, fields.Flag("logprobs"));
  SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> top, fields.Count("top_logprobs"));
  if (!logprobs) {
    if (top.value_or(0) == 0) return absl::OkStatus();
    return InvalidField("top_logprobs", "is set, but `logprobs` is not true");
  }
  output.set_logprobs(top.value_or(0));
  output.set_token_bytes(true);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChatRequest> ReadChatRequest(absl::string_view body) {
  SF_ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  SF_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(json, ""));
  ChatRequest out;
  SF_RETURN_IF_ERROR(RefuseUnsupported(fields));
  SF_RETURN_IF_ERROR(ReadGenerationFields(fields, out.request));
  SF_ASSIGN_OR_RETURN(out.stream, ReadStreamFields(fields));
  SF_RETURN_IF_ERROR(ReadMaxTokens(fields, *out.request.mutable_stopping()));
  SF_RETURN_IF_ERROR(ReadLogprobs(fields, *out.request.mutable_output()));
  SF_RETURN_IF_ERROR(ReadMessages(fields, *out.request.mutable_chat()));
  SF_RETURN_IF_ERROR(ReadTools(fields, out));
  SF_RETURN_IF_ERROR(ReadTemplateFields(fields, out));
  return out;
}

}  // namespace spearfish::server
