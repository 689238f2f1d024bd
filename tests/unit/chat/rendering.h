// Short ways to render a template in tests.
#ifndef TESTS_UNIT_CHAT_RENDERING_H_
#define TESTS_UNIT_CHAT_RENDERING_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/chat/chat_template.h"

namespace spearfish::tests {

// With `variables` as the template's only ones besides those that every rendering has.
inline absl::StatusOr<std::string> RenderWith(absl::string_view source,
                                              nlohmann::ordered_json variables,
                                              ChatTemplateOptions options = {}) {
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<ChatTemplate> chat_template,
                      ChatTemplate::Create(source, std::move(options)));
  ChatInput input;
  input.variables = std::move(variables);
  return chat_template->Render(input);
}

inline absl::StatusOr<std::string> Render(absl::string_view source) {
  return RenderWith(source, nlohmann::ordered_json::object());
}

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_CHAT_RENDERING_H_
