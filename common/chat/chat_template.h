// A checkpoint's chat template: conversations to the prompt that the model was trained on.
#ifndef COMMON_CHAT_CHAT_TEMPLATE_H_
#define COMMON_CHAT_CHAT_TEMPLATE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace spearfish {

// What one rendering may cost; see common/chat/budget.h for what a step is.
struct ChatTemplateOptions {
  uint64_t max_steps = 8'000'000;
  // What strftime_now tells.
  std::function<absl::Time()> clock = [] { return absl::Now(); };
  absl::TimeZone zone = absl::LocalTimeZone();
  // Seen by every rendering unless its input says otherwise: bos_token, eos_token and the like.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
};

struct ChatInput {
  // Objects as in transformers and OpenAI's API: role, content (text or parts), tool_calls,
  // reasoning_content, name ...
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools;  // an array; null: none
  bool add_generation_prompt = true;
  // More variables for the template, such as enable_thinking.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
};

// Renders as Jinja does when transformers calls it (trim_blocks, lstrip_blocks, its tojson), for
// the part of the language that common/README.md lists. Whatever is beyond that is refused, by
// place and name, and never guessed at. Immutable; any thread.
class ChatTemplate {
 public:
  // InvalidArgument: not a template; Unimplemented: a construct that is not supported.
  static absl::StatusOr<std::unique_ptr<ChatTemplate>> Create(absl::string_view source,
                                                              ChatTemplateOptions options = {});
  virtual ~ChatTemplate() = default;

  // InvalidArgument: what the template refuses (raise_exception), a type error, or a limit;
  // Unimplemented: an operation that is not supported on such values.
  virtual absl::StatusOr<std::string> Render(const ChatInput& input) const = 0;
};

}  // namespace spearfish

#endif  // COMMON_CHAT_CHAT_TEMPLATE_H_
