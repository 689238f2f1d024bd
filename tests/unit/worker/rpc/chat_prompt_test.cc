#include "worker/rpc/chat_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/config/generation_config.h"
#include "tests/unit/worker/rpc/byte_tokenizer.h"
#include "worker/rpc/request_conversion.h"

namespace spearfish::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ChatPrompt : public testing::Test {
 protected:
  v1::ChatMessage& Add(const std::string& role, const std::string& content) {
    v1::ChatMessage& message = *chat_.add_messages();
    message.set_role(role);
    message.set_content(content);
    return message;
  }

  absl::StatusOr<std::string> Render(absl::string_view source) const {
    const auto chat_template = ChatTemplate::Create(source);
    return RenderChat(chat_, &chat_template);
  }

  void ExpectInvalid(const absl::StatusOr<std::string>& text, const std::string& message) const {
    EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << text.status();
    EXPECT_THAT(std::string(text.status().message()), HasSubstr(message));
  }

  v1::Chat chat_;
};

TEST_F(ChatPrompt, GivesTheTemplateEveryField) {
  Add("system", "S");
  v1::ChatMessage& assistant = Add("assistant", "");
  assistant.set_reasoning_content("R");
  v1::ChatToolCall& call = *assistant.add_tool_calls();
  call.set_id("c1");
  call.set_name("f");
  call.set_arguments_json(R"({"z": 1, "a": [2.5]})");
  v1::ChatMessage& tool = Add("tool", "T");
  tool.set_tool_call_id("c1");
  tool.set_name("f");
  chat_.add_tools_json(R"({"type": "function", "function": {"name": "f"}})");
  chat_.set_variables_json(R"({"enable_thinking": false})");
  EXPECT_EQ(Render("{{ messages | tojson }}{{ tools | tojson }}{{ enable_thinking }}"
                   "{{ add_generation_prompt }}")
                .value(),
            R"([{"role": "system", "content": "S"}, )"
            R"({"role": "assistant", "content": "", "reasoning_content": "R", "tool_calls": )"
            R"([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": )"
            R"({"z": 1, "a": [2.5]}}}]}, )"
            R"({"role": "tool", "content": "T", "tool_call_id": "c1", "name": "f"}])"
            R"([{"type": "function", "function": {"name": "f"}}]FalseTrue)");
}

TEST_F(ChatPrompt, LeavesOutWhatIsUnset) {
  Add("user", "Hi");
  chat_.set_add_generation_prompt(false);
  EXPECT_EQ(Render("{{ messages | tojson }}{{ tools }}{{ add_generation_prompt }}").value(),
            R"([{"role": "user", "content": "Hi"}]NoneFalse)");
}

TEST_F(ChatPrompt, NamesTheFieldThatIsWrong) {
  ExpectInvalid(Render(""), "chat.messages is empty");
  v1::ChatMessage& message = Add("", "Hi");
  ExpectInvalid(Render(""), "chat.messages[0].role is empty");
  message.set_role("assistant");
  message.add_tool_calls()->set_arguments_json("[1]");
  ExpectInvalid(Render(""), "chat.messages[0].tool_calls[0].arguments_json is not a JSON object");
  message.clear_tool_calls();
  chat_.add_tools_json("{");
  ExpectInvalid(Render(""), "chat.tools_json[0] is not JSON in UTF-8: malformed at byte 2");
  chat_.clear_tools_json();
  chat_.set_variables_json("7");
  ExpectInvalid(Render(""), "chat.variables_json is not a JSON object");
}

TEST_F(ChatPrompt, BoundsTheWorkOfAllTexts) {
  Add("user", "Hi");
  std::string wide = "{";
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&wide, i == 0 ? "\"" : ",\"", i, "\":0");
  absl::StrAppend(&wide, "}");
  for (int i = 0; i < 3; ++i) chat_.add_tools_json(wide);
  EXPECT_TRUE(Render("{{ tools | length }}").ok());
  for (int i = 0; i < 3; ++i) chat_.add_tools_json(wide);
  ExpectInvalid(Render(""), "chat.tools_json[4] is JSON whose objects have too many members");
}

TEST_F(ChatPrompt, PassesOnWhatTheTemplateRefuses) {
  Add("robot", "Hi");
  ExpectInvalid(Render("{{ raise_exception('no robots') }}"), "no robots");
}

TEST_F(ChatPrompt, SaysWhyThereIsNoTemplate) {
  Add("user", "Hi");
  EXPECT_EQ(RenderChat(chat_, nullptr).status().code(), absl::StatusCode::kFailedPrecondition);
  const absl::Status status = Render("{% include 'x' %}").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the tag include is not supported"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("as `text`"));
}

TEST_F(ChatPrompt, BecomesTokensWithSpecialOnesRecognised) {
  Add("user", "A");
  const ByteTokenizer tokenizer;
  const GenerationConfig defaults;
  const auto chat_template = ChatTemplate::Create("{{ messages[0].content }}<end>");
  const RequestContext context{.served_name = "model",
                               .vocab_size = 300,
                               .max_model_len = 8,
                               .defaults = defaults,
                               .tokenizer = tokenizer,
                               .chat_template = &chat_template};
  v1::GenerateRequest request;
  *request.mutable_chat() = chat_;
  const auto converted = ToGenerationRequest(request, context, {.request_id = 1, .seed = 2});
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_THAT(converted->prompt, ElementsAre('A', ByteTokenizer::kEnd));
  EXPECT_TRUE(converted->output.text);
}

TEST(EndsInOpenReasoning, OnlyWhereTheTagIsLast) {
  const ByteTokenizer tokenizer;
  const auto ends = [&tokenizer](absl::string_view text) {
    return EndsInOpenReasoning(tokenizer,
                               *tokenizer.Encode(text, Tokenizer::SpecialTokens::kAsText));
  };
  EXPECT_TRUE(ends("assistant\n<think>\n"));
  EXPECT_TRUE(ends("<think>"));
  EXPECT_FALSE(ends("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(ends("assistant\n"));
  EXPECT_FALSE(ends(""));
}

}  // namespace
}  // namespace spearfish::worker
