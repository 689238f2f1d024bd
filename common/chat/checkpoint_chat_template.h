// The chat template that a checkpoint's folder holds.
#ifndef COMMON_CHAT_CHECKPOINT_CHAT_TEMPLATE_H_
#define COMMON_CHAT_CHECKPOINT_CHAT_TEMPLATE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/chat/chat_template.h"

namespace spearfish {

// From chat_template.jinja, else from `chat_template` in tokenizer_config.json: a text, or a list
// of named ones, of which it is "default". The special tokens that tokenizer_config.json names
// become variables. NotFound when the folder has none; else as ChatTemplate::Create.
absl::StatusOr<std::unique_ptr<ChatTemplate>> ReadChatTemplate(const std::string& folder);

}  // namespace spearfish

#endif  // COMMON_CHAT_CHECKPOINT_CHAT_TEMPLATE_H_
