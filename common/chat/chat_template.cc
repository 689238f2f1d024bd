#include "common/chat/chat_template.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/ast.h"
#include "common/chat/budget.h"
#include "common/chat/interpreter.h"
#include "common/chat/lexer.h"
#include "common/chat/parser.h"
#include "common/chat/text.h"
#include "common/chat/to_json.h"

namespace spearfish {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxSourceBytes = size_t{1} << 20;

absl::Status InChatInput(absl::string_view part, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("chat input, ", part, ": ", status.message()));
}

absl::Status AddVariable(const std::string& name, const Json& json, chat::Budget& budget,
                         chat::Variables& variables) {
  absl::StatusOr<chat::Value> value = chat::FromJson(json, budget);
  if (!value.ok()) return InChatInput(name, value.status());
  variables[name] = *std::move(value);
  return absl::OkStatus();
}

absl::Status AddVariables(const Json& json, chat::Budget& budget, chat::Variables& variables) {
  if (!json.is_object()) return absl::InvalidArgumentError("chat variables are not an object");
  for (const auto& [name, value] : json.items()) {
    SF_RETURN_IF_ERROR(AddVariable(name, value, budget, variables));
  }
  return absl::OkStatus();
}

// A parsed template and what every rendering of it starts from.
class ParsedTemplate final : public ChatTemplate {
 public:
  ParsedTemplate(chat::Block block, ChatTemplateOptions options)
      : block_(std::move(block)), options_(std::move(options)) {}

  absl::StatusOr<std::string> Render(const ChatInput& input) const override {
    if (!input.messages.is_array()) {
      return absl::InvalidArgumentError("chat messages are not an array");
    }
    chat::Budget budget(options_.max_steps);
    chat::Variables variables;
    SF_RETURN_IF_ERROR(AddVariables(options_.variables, budget, variables));
    SF_RETURN_IF_ERROR(AddVariables(input.variables, budget, variables));
    SF_RETURN_IF_ERROR(AddVariable("messages", input.messages, budget, variables));
    SF_RETURN_IF_ERROR(AddVariable("tools", input.tools, budget, variables));
    variables["documents"] = chat::Value::None();
    variables["add_generation_prompt"] = chat::Value::Bool(input.add_generation_prompt);
    const chat::Interpreter::Options options{.clock = options_.clock, .zone = options_.zone};
    return chat::Interpreter(options, budget).Run(block_, std::move(variables));
  }

 private:
  const chat::Block block_;
  const ChatTemplateOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ChatTemplate>> ChatTemplate::Create(absl::string_view source,
                                                                   ChatTemplateOptions options) {
  if (source.size() > kMaxSourceBytes) {
    return absl::InvalidArgumentError(absl::StrCat("chat template too large: ", source.size(),
                                                   " bytes, at most ", kMaxSourceBytes));
  }
  if (!chat::IsValidUtf8(source)) return absl::InvalidArgumentError("chat template is not UTF-8");
  SF_ASSIGN_OR_RETURN(std::vector<chat::Token> tokens, chat::Tokenize(source));
  SF_ASSIGN_OR_RETURN(chat::Block block, chat::ParseTemplate(std::move(tokens)));
  return std::make_unique<ParsedTemplate>(std::move(block), std::move(options));
}

}  // namespace spearfish
