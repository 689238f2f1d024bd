// A chat prompt as the text that the checkpoint's template makes of it.
#ifndef WORKER_RPC_CHAT_PROMPT_H_
#define WORKER_RPC_CHAT_PROMPT_H_

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/chat/chat_template.h"
#include "common/tokenizer/tokenizer.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::worker {

// The template sees messages as transformers' users write them: role, content, reasoning_content
// when set, tool_calls with parsed arguments, tool_call_id and name when not empty. `chat_template`
// is null or an error where the checkpoint has none that can be used: FailedPrecondition with the
// reason. InvalidArgument: JSON that is none, or what the template refuses.
absl::StatusOr<std::string> RenderChat(
    const v1::Chat& chat, const absl::StatusOr<std::unique_ptr<ChatTemplate>>* chat_template);

// Whether the rendered prompt ends in "<think>", white space aside: the output then begins inside
// the reasoning.
bool EndsInOpenReasoning(const Tokenizer& tokenizer, std::span<const TokenId> prompt);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_CHAT_PROMPT_H_
