#include "server/http/chat_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/http/json_fields.h"

namespace spearfish::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kUser[] = R"("model": "m", "messages": [{"role": "user", "content": "hi"}])";

std::string Body(absl::string_view more) {
  return absl::StrCat("{", kUser, more.empty() ? "" : ", ", more, "}");
}

ChatRequest Read(absl::string_view body) {
  absl::StatusOr<ChatRequest> request = ReadChatRequest(body);
  EXPECT_TRUE(request.ok()) << request.status();
  return request.ok() ? *std::move(request) : ChatRequest();
}

TEST(ChatRequest, LeavesWhatIsNotGivenToTheModel) {
  const ChatRequest chat = Read(Body("\"temperature\": null, \"unheard_of\": [1]"));
  EXPECT_EQ(chat.request.model(), "m");
  EXPECT_FALSE(chat.request.sampling().has_temperature());
  EXPECT_FALSE(chat.request.sampling().has_seed());
  EXPECT_FALSE(chat.request.stopping().has_max_tokens());
  EXPECT_FALSE(chat.request.output().has_logprobs());
  EXPECT_TRUE(chat.request.output().text());
  EXPECT_FALSE(chat.stream.stream);
  EXPECT_FALSE(chat.tools);
  EXPECT_TRUE(chat.reasoning);
}

TEST(ChatRequest, ReadsEverySamplingField) {
  const ChatRequest chat = Read(Body(
      R"("temperature": 0.5, "top_p": 0.25, "min_p": 0.125, "top_k": 7, "seed": -1, "n": 3,
         "presence_penalty": 1, "frequency_penalty": -2, "repetition_penalty": 1.5,
         "logit_bias": {"5": -100, "7": 2.5}, "prompt_cache_key": "key")"));
  const v1::Sampling& sampling = chat.request.sampling();
  EXPECT_EQ(sampling.temperature(), 0.5f);
  EXPECT_EQ(sampling.top_p(), 0.25f);
  EXPECT_EQ(sampling.min_p(), 0.125f);
  EXPECT_EQ(sampling.top_k(), 7u);
  EXPECT_EQ(sampling.seed(), ~uint64_t{0});
  EXPECT_EQ(sampling.num_sequences(), 3u);
  EXPECT_EQ(sampling.presence_penalty(), 1.0f);
  EXPECT_EQ(sampling.frequency_penalty(), -2.0f);
  EXPECT_EQ(sampling.repetition_penalty(), 1.5f);
  EXPECT_THAT(sampling.logit_bias(), UnorderedElementsAre(Pair(5, -100.0f), Pair(7, 2.5f)));
  EXPECT_EQ(chat.request.session_id(), "key");
}

TEST(ChatRequest, ReadsStoppingAndOutput) {
  const ChatRequest chat = Read(Body(
      R"("max_tokens": 9, "max_completion_tokens": 8, "stop": ["a", "b"], "stop_token_ids": [3],
         "min_tokens": 2, "ignore_eos": true, "include_stop_str_in_output": true, "logprobs": true,
         "top_logprobs": 4, "stream": true, "stream_options": {"include_usage": true})"));
  const v1::Stopping& stopping = chat.request.stopping();
  EXPECT_EQ(stopping.max_tokens(), 8u);
  EXPECT_THAT(stopping.stop_strings(), ElementsAre("a", "b"));
  EXPECT_THAT(stopping.stop_token_ids(), ElementsAre(3));
  EXPECT_EQ(stopping.min_tokens(), 2u);
  EXPECT_TRUE(stopping.ignore_eos());
  EXPECT_TRUE(chat.request.output().include_stop_string());
  EXPECT_EQ(chat.request.output().logprobs(), 4u);
  EXPECT_TRUE(chat.request.output().token_bytes());
  EXPECT_TRUE(chat.stream.stream);
  EXPECT_TRUE(chat.stream.include_usage);
  EXPECT_THAT(Read(Body(R"("stop": "x")")).request.stopping().stop_strings(), ElementsAre("x"));
  EXPECT_EQ(Read(Body(R"("top_k": -1)")).request.sampling().top_k(), 0u);
}

TEST(ChatRequest, ReadsMessagesOfEveryRole) {
  const ChatRequest chat = Read(R"({"model": "m", "messages": [
      {"role": "developer", "content": "D"},
      {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "a"},
                                                   {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": null, "reasoning_content": "R", "tool_calls": [
          {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "T"}]})");
  const auto& messages = chat.request.chat().messages();
  ASSERT_EQ(messages.size(), 4);
  EXPECT_EQ(messages[0].role(), "system");
  EXPECT_EQ(messages[1].content(), "ab");
  EXPECT_EQ(messages[1].name(), "Ann");
  EXPECT_EQ(messages[2].content(), "");
  EXPECT_EQ(messages[2].reasoning_content(), "R");
  ASSERT_EQ(messages[2].tool_calls_size(), 1);
  EXPECT_EQ(messages[2].tool_calls(0).name(), "f");
  EXPECT_EQ(messages[2].tool_calls(0).arguments_json(), R"({"x": 1})");
  EXPECT_EQ(messages[3].tool_call_id(), "c1");
}

TEST(ChatRequest, GivesToolsAndVariablesToTheTemplate) {
  const std::string tools =
      R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {"z": 1, "a": 2}}}])";
  ChatRequest chat = Read(Body(absl::StrCat(
      tools, R"(, "tool_choice": "auto", "chat_template_kwargs": {"enable_thinking": false})")));
  EXPECT_TRUE(chat.tools);
  EXPECT_FALSE(chat.reasoning);
  EXPECT_THAT(chat.request.chat().tools_json(),
              ElementsAre(R"({"type":"function","function":{"name":"f","parameters":)"
                          R"({"z":1,"a":2}}})"));
  EXPECT_EQ(chat.request.chat().variables_json(), R"({"enable_thinking":false})");
  chat = Read(Body(absl::StrCat(tools, R"(, "tool_choice": "none")")));
  EXPECT_FALSE(chat.tools);
  EXPECT_TRUE(chat.request.chat().tools_json().empty());
}

TEST(ChatRequest, RefusesNamingTheField) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"temperature", R"("temperature": "hot")"},
      {"n", R"("n": 0)"},
      {"n", R"("n": 65)"},
      {"seed", R"("seed": 1.5)"},
      {"max_tokens", R"("max_tokens": -1)"},
      {"max_completion_tokens", R"("max_completion_tokens": 0)"},
      {"stop", R"("stop": 3)"},
      {"stop[1]", R"("stop": ["a", 1])"},
      {"logit_bias", R"("logit_bias": {"x": 1})"},
      {"logit_bias.4", R"("logit_bias": {"4": "x"})"},
      {"top_logprobs", R"("top_logprobs": 3)"},
      {"stream_options", R"("stream_options": {})"},
      {"stream", R"("stream": "yes")"},
      {"response_format", R"("response_format": {"type": "json_object"})"},
      {"tool_choice", R"("tool_choice": "required")"},
      {"tool_choice", R"("tool_choice": {"type": "function", "function": {"name": "f"}})"},
      {"tools[0].type", R"("tools": [{"type": "web_search"}])"},
      {"tools[0].function.name", R"("tools": [{"type": "function", "function": {}}])"},
      {"functions", R"("functions": [])"},
      {"structured_outputs", R"("structured_outputs": {})"},
      {"chat_template_kwargs", R"("chat_template_kwargs": [])"},
  };
  for (const auto& [param, more] : cases) {
    const absl::Status status = ReadChatRequest(Body(more)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << more;
    EXPECT_EQ(ParamOf(status), param) << status;
  }
}

TEST(ChatRequest, RefusesMessagesNamingTheField) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"messages", "[]"},
      {"messages[0]", "[1]"},
      {"messages[0].role", R"([{"content": "x"}])"},
      {"messages[0].role", R"([{"role": "function", "content": "x"}])"},
      {"messages[0].content", R"([{"role": "user"}])"},
      {"messages[0].content[0].type",
       R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])"},
      {"messages[0].tool_calls[0].function.arguments",
       R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}])"},
  };
  for (const auto& [param, messages] : cases) {
    const absl::Status status =
        ReadChatRequest(absl::StrCat(R"({"model": "m", "messages": )", messages, "}")).status();
    EXPECT_EQ(ParamOf(status), param) << status;
  }
  EXPECT_EQ(ParamOf(ReadChatRequest(R"({"messages": []})").status()), "model");
}

TEST(ChatRequest, RefusesWhatIsNoBoundedJson) {
  const auto message = [](absl::string_view body) {
    return std::string(ReadChatRequest(body).status().message());
  };
  EXPECT_THAT(message("{"), HasSubstr("malformed at byte"));
  EXPECT_THAT(message("{\"model\": \"\xff\"}"), HasSubstr("malformed at byte"));
  EXPECT_THAT(message("[]"), HasSubstr("`body` is an array"));
  EXPECT_THAT(message(std::string(100, '[') + std::string(100, ']')), HasSubstr("too deeply"));
  EXPECT_THAT(message("{\"temperature\": 1e999}"), HasSubstr("number"));
  std::string wide = "{";
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&wide, "\"", i, "\":0,");
  EXPECT_THAT(message(wide + "\"x\":0}"), HasSubstr("too many members"));
}

}  // namespace
}  // namespace spearfish::server
