#include "server/http/assistant_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spearfish::server {
namespace {

struct Whole {
  std::string reasoning = {};
  std::string content = {};
  std::string calls = {};  // "name(arguments);"
  bool operator==(const Whole&) const = default;
};

void Append(AssistantDelta delta, Whole& whole) {
  whole.reasoning += delta.reasoning;
  whole.content += delta.content;
  for (const ToolCall& call : delta.tool_calls) {
    absl::StrAppend(&whole.calls, call.name, "(", call.arguments, ");");
  }
}

// Cut into pieces of `size` bytes.
Whole Parse(AssistantFormat format, absl::string_view text, size_t size) {
  AssistantParser parser(format);
  Whole whole;
  for (size_t at = 0; at < text.size(); at += size) {
    Append(parser.Add(text.substr(at, size)), whole);
  }
  Append(parser.Finish(), whole);
  return whole;
}

// Every cut gives the same.
Whole ParseEveryWay(AssistantFormat format, absl::string_view text) {
  const Whole whole = Parse(format, text, text.size() + 1);
  for (size_t size = 1; size <= text.size(); ++size) {
    const Whole cut = Parse(format, text, size);
    EXPECT_EQ(cut, whole) << "in pieces of " << size << ": [" << cut.reasoning << "] ["
                          << cut.content << "] [" << cut.calls << "]";
  }
  return whole;
}

TEST(AssistantParser, PlainTextIsContentToTheByte) {
  const absl::string_view text = "  <thin> Hello <tool_call> {} \n\n";
  EXPECT_EQ(ParseEveryWay({}, text), (Whole{.content = std::string(text)}));
}

TEST(AssistantParser, TakesReasoningApart) {
  EXPECT_EQ(ParseEveryWay({}, "\n<think>\nLet me see.\n\n1 < 2\n</think>\n\nYes.\n"),
            (Whole{.reasoning = "Let me see.\n\n1 < 2", .content = "Yes.\n"}));
  EXPECT_EQ(ParseEveryWay({}, "<think>\n\n</think>\n\nYes"), (Whole{.content = "Yes"}));
}

TEST(AssistantParser, ReasoningThatThePromptBegan) {
  EXPECT_EQ(ParseEveryWay({.begins_in_reasoning = true}, "Hm.\n</think>\n\nYes"),
            (Whole{.reasoning = "Hm.", .content = "Yes"}));
}

TEST(AssistantParser, ReasoningThatNeverEnds) {
  EXPECT_EQ(ParseEveryWay({}, "<think>Hm </thi"), (Whole{.reasoning = "Hm </thi"}));
}

TEST(AssistantParser, ATagLaterOrSwitchedOffIsContent) {
  EXPECT_EQ(ParseEveryWay({}, "a <think>b</think>"), (Whole{.content = "a <think>b</think>"}));
  EXPECT_EQ(ParseEveryWay({.reasoning = false}, "<think>b</think>"),
            (Whole{.content = "<think>b</think>"}));
}

TEST(AssistantParser, FindsToolCalls) {
  const Whole whole = ParseEveryWay(
      {.tools = true},
      "<think>\nUse it.\n</think>\n\nOne moment.\n<tool_call>\n"
      "{\"name\": \"f\", \"arguments\": {\"z\": 1, \"a\": \"\xc3\xa4\"}}\n</tool_call>\n"
      "<tool_call>{\"name\":\"g\"}</tool_call>\n");
  EXPECT_EQ(whole, (Whole{.reasoning = "Use it.",
                          .content = "One moment.",
                          .calls = "f({\"z\":1,\"a\":\"\xc3\xa4\"});g({});"}));
}

TEST(AssistantParser, ACallWithoutItsEndCountsWhenItsJsonIsWhole) {
  EXPECT_EQ(ParseEveryWay({.tools = true}, "<tool_call>{\"name\":\"f\",\"arguments\":\"{}\"}"),
            (Whole{.calls = "f({});"}));
}

TEST(AssistantParser, BrokenCallsStayContent) {
  for (const char* body : {"{\"name\": \"f\", ", "{}", "[1]", "{\"name\": 3}",
                           "{\"name\": \"f\", \"arguments\": 7}", ""}) {
    const std::string text = absl::StrCat("<tool_call>", body, "</tool_call>");
    EXPECT_EQ(ParseEveryWay({.tools = true}, text), (Whole{.content = text}));
    const std::string open = absl::StrCat("<tool_call>", body);
    EXPECT_EQ(ParseEveryWay({.tools = true}, open), (Whole{.content = open}));
  }
}

TEST(AssistantParser, GivesOutWhatCannotBecomeATag) {
  AssistantParser parser({.tools = true});
  EXPECT_EQ(parser.Add("Hello <too").content, "Hello");
  EXPECT_EQ(parser.Add("t").content, " <toot");
  EXPECT_EQ(parser.Add(" \n").content, "");
  EXPECT_EQ(parser.Finish().content, " \n");
}

}  // namespace
}  // namespace spearfish::server
