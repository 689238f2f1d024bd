// An assistant's text as it comes, taken apart: reasoning, answer and calls of tools.
#ifndef SERVER_HTTP_ASSISTANT_PARSER_H_
#define SERVER_HTTP_ASSISTANT_PARSER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace spearfish::server {

struct ToolCall {
  std::string name = {};
  std::string arguments = {};  // JSON
};

// What some text added; its parts come in this order.
struct AssistantDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
  bool empty() const { return reasoning.empty() && content.empty() && tool_calls.empty(); }
};

struct AssistantFormat {
  bool reasoning = true;             // look for <think>...</think> at the start
  bool begins_in_reasoning = false;  // the prompt has written <think> already
  bool tools = false;                // look for <tool_call>{JSON}</tool_call>
};

// Qwen's format. What is not well-formed stays content: a call whose JSON is broken with its tags,
// a tag without its end. White space next to tags is dropped. How the text is cut into Adds makes
// no difference to the whole. Holds back no more than could still become a tag, and calls until
// they are complete.
class AssistantParser {
 public:
  explicit AssistantParser(AssistantFormat format);

  AssistantDelta Add(absl::string_view text);
  // The text is over.
  AssistantDelta Finish();

 private:
  enum class State { kStart, kReasoning, kContent, kToolCall };
  enum class Input { kMore, kOver };
  struct Found {
    size_t before;                 // of pending_, what can be given out
    std::optional<size_t> tag_at;  // set: white space from `before` to there, then the tag
  };

  // Takes what it can off pending_; true when there may be more to take.
  bool Step(Input input, AssistantDelta& out);
  bool Start(Input input);
  bool Reasoning(Input input, AssistantDelta& out);
  bool Content(Input input, AssistantDelta& out);
  bool ToolCallBlock(Input input, AssistantDelta& out);

  Found Find(absl::string_view tag, Input input);
  void Enter(State state, size_t drop);
  bool TrimmedEmpty();

  const AssistantFormat format_;
  State state_;
  std::string pending_;
  // No tag begins before it in pending_, and but for tool calls there is only white space: each
  // byte is looked at once, however the text is cut.
  size_t searched_ = 0;
  bool trim_ = false;  // white space that comes next is dropped
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_ASSISTANT_PARSER_H_
