#include "server/http/assistant_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/chat/ordered_json.h"
#include "server/http/json_fields.h"

namespace spearfish::server {
namespace {

constexpr absl::string_view kThink = "<think>";
constexpr absl::string_view kThinkEnd = "</think>";
constexpr absl::string_view kToolCallTag = "<tool_call>";
constexpr absl::string_view kToolCallEnd = "</tool_call>";
constexpr size_t kMostSpaceBeforeThink = 64;

// The longest end of `text` that is a beginning of `tag`.
size_t PossibleTagBytes(absl::string_view text, absl::string_view tag) {
  size_t size = std::min(text.size(), tag.size() - 1);
  while (size > 0 && !absl::EndsWith(text, tag.substr(0, size))) --size;
  return size;
}

std::optional<ToolCall> ParseToolCall(absl::string_view body) {
  const absl::StatusOr<Json> json = OrderedJsonParser().Parse(body);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  const auto name = json->find("name");
  if (name == json->end() || !name->is_string()) return std::nullopt;
  ToolCall call{.name = name->get<std::string>(), .arguments = "{}"};
  const auto arguments = json->find("arguments");
  if (arguments == json->end()) return call;
  if (arguments->is_string()) {
    call.arguments = arguments->get<std::string>();
  } else if (arguments->is_object()) {
    call.arguments = JsonText(*arguments);
  } else {
    return std::nullopt;
  }
  return call;
}

}  // namespace

AssistantParser::AssistantParser(AssistantFormat format)
    : format_(format),
      state_(!format.reasoning            ? State::kContent
             : format.begins_in_reasoning ? State::kReasoning
                                          : State::kStart),
      trim_(state_ == State::kReasoning) {}

AssistantDelta AssistantParser::Add(absl::string_view text) {
  absl::StrAppend(&pending_, text);
  AssistantDelta out;
  while (Step(Input::kMore, out)) continue;
  return out;
}

AssistantDelta AssistantParser::Finish() {
  AssistantDelta out;
  while (Step(Input::kOver, out)) continue;
  return out;
}

bool AssistantParser::Step(Input input, AssistantDelta& out) {
  if (TrimmedEmpty()) return false;
  switch (state_) {
    case State::kStart:
      return Start(input);
    case State::kReasoning:
      return Reasoning(input, out);
    case State::kContent:
      return Content(input, out);
    case State::kToolCall:
      return ToolCallBlock(input, out);
  }
  return false;
}

bool AssistantParser::TrimmedEmpty() {
  if (trim_) {
    pending_.erase(0, pending_.size() - absl::StripLeadingAsciiWhitespace(pending_).size());
    trim_ = pending_.empty();
  }
  // An empty call is still to be given back when the text is over.
  return pending_.empty() && state_ != State::kToolCall;
}

void AssistantParser::Enter(State state, size_t drop) {
  state_ = state;
  pending_.erase(0, drop);
  searched_ = 0;
  trim_ = state != State::kToolCall;
}

bool AssistantParser::Start(Input input) {
  const absl::string_view rest = absl::StripLeadingAsciiWhitespace(pending_);
  const size_t space = pending_.size() - rest.size();
  if (space <= kMostSpaceBeforeThink) {
    if (absl::StartsWith(rest, kThink)) {
      Enter(State::kReasoning, space + kThink.size());
      return true;
    }
    if (input == Input::kMore && absl::StartsWith(kThink, rest)) return false;
  }
  state_ = State::kContent;
  return true;
}

AssistantParser::Found AssistantParser::Find(absl::string_view tag, Input input) {
  const size_t at = pending_.find(tag.data(), searched_, tag.size());
  const bool found = at != std::string::npos;
  if (!found && input == Input::kOver) return {pending_.size(), std::nullopt};
  const absl::string_view unsearched = absl::string_view(pending_).substr(searched_);
  const size_t end = found ? at : pending_.size() - PossibleTagBytes(unsearched, tag);
  size_t before = end;
  while (before > searched_ && absl::ascii_isspace(pending_[before - 1])) --before;
  if (before == searched_) before = 0;  // what was searched is white space
  if (found) return {before, at};
  searched_ = end - before;
  return {before, std::nullopt};
}

bool AssistantParser::Reasoning(Input input, AssistantDelta& out) {
  const Found found = Find(kThinkEnd, input);
  out.reasoning.append(pending_, 0, found.before);
  if (found.tag_at) {
    Enter(State::kContent, *found.tag_at + kThinkEnd.size());
    return true;
  }
  pending_.erase(0, found.before);
  return false;
}

bool AssistantParser::Content(Input input, AssistantDelta& out) {
  if (!format_.tools) {
    out.content += std::exchange(pending_, {});
    return false;
  }
  const Found found = Find(kToolCallTag, input);
  out.content.append(pending_, 0, found.before);
  if (found.tag_at) {
    Enter(State::kToolCall, *found.tag_at + kToolCallTag.size());
    return true;
  }
  pending_.erase(0, found.before);
  return false;
}

bool AssistantParser::ToolCallBlock(Input input, AssistantDelta& out) {
  const size_t at = pending_.find(kToolCallEnd.data(), searched_, kToolCallEnd.size());
  const bool found = at != std::string::npos;
  if (!found && input == Input::kMore) {
    searched_ = pending_.size() - std::min(pending_.size(), kToolCallEnd.size() - 1);
    return false;
  }
  const absl::string_view body = absl::string_view(pending_).substr(0, at);
  if (std::optional<ToolCall> call = ParseToolCall(body)) {
    out.tool_calls.push_back(*std::move(call));
  } else {
    absl::StrAppend(&out.content, kToolCallTag, body, found ? kToolCallEnd : "");
  }
  Enter(State::kContent, found ? at + kToolCallEnd.size() : pending_.size());
  return found;
}

}  // namespace spearfish::server
