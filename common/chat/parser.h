// Tokens to the tree of a template.
#ifndef COMMON_CHAT_PARSER_H_
#define COMMON_CHAT_PARSER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "common/chat/ast.h"
#include "common/chat/lexer.h"

namespace spearfish::chat {

// InvalidArgument: not a template. Unimplemented: a construct beyond us, with its name and place.
absl::StatusOr<Block> ParseTemplate(std::vector<Token> tokens);

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_PARSER_H_
