#include "server/http/chat_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/unit/server/http/messages.h"

namespace spearfish::server {
namespace {

const ResponseHead kHead{.id = "chatcmpl-1", .model = "m", .created = 5};

TEST(ChatCompletionEncoder, GivesTheWholeAnswer) {
  ChatCompletionEncoder encoder({.head = kHead, .num_choices = 2});
  EXPECT_EQ(encoder.Add(0, Prompt(7, 3)), "");
  EXPECT_EQ(encoder.Add(0, Text(1, "<think>hm</think>b")), "");
  encoder.Add(0, Text(0, "a"));
  v1::GenerateStreamResponse end = End(1, v1::FINISH_REASON_STOP, 4);
  end.mutable_finish()->set_stop_string("!");
  encoder.Add(0, end);
  encoder.Add(0, End(0, v1::FINISH_REASON_LENGTH, 2));
  const Json body = Json::parse(encoder.End());
  EXPECT_EQ(body["id"], "chatcmpl-1");
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["created"], 5);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["choices"][0], Json::parse(R"({"index": 0,
      "message": {"role": "assistant", "content": "a"}, "logprobs": null,
      "finish_reason": "length", "stop_reason": null})"));
  EXPECT_EQ(body["choices"][1], Json::parse(R"({"index": 1,
      "message": {"role": "assistant", "content": "b", "reasoning_content": "hm"},
      "logprobs": null, "finish_reason": "stop", "stop_reason": "!"})"));
  EXPECT_EQ(body["usage"], Json::parse(R"({"prompt_tokens": 7, "completion_tokens": 6,
      "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 3}})"));
}

TEST(ChatCompletionEncoder, GivesCallsOfTools) {
  ChatCompletionEncoder encoder({.head = kHead, .format = {.tools = true}});
  encoder.Add(0, Text(0, "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>"));
  encoder.Add(0, End(0, v1::FINISH_REASON_STOP));
  const Json choice = Json::parse(encoder.End())["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  EXPECT_EQ(choice["message"]["tool_calls"][0]["type"], "function");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"],
            Json::parse(R"({"name": "f", "arguments": "{\"x\":1}"})"));
}

TEST(ChatCompletionEncoder, LogprobsOfTokensThatAreNoText) {
  ChatCompletionEncoder encoder({.head = kHead, .logprobs = true});
  encoder.Add(0, Scored("a", -0.5f));
  encoder.Add(0, Scored("\xe2\x82", -std::numeric_limits<float>::infinity()));
  encoder.Add(0, End(0, v1::FINISH_REASON_STOP));
  const Json content = Json::parse(encoder.End())["choices"][0]["logprobs"]["content"];
  EXPECT_EQ(content[0], Json::parse(R"({"token": "a", "logprob": -0.5, "bytes": [97],
      "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97]}]})"));
  EXPECT_EQ(content[1]["token"], "bytes:\\xe2\\x82");
  EXPECT_EQ(content[1]["bytes"], Json::parse("[226, 130]"));
  EXPECT_EQ(content[1]["logprob"], -9999.0);
}

TEST(ChatChunkEncoder, StreamsChunks) {
  ChatChunkEncoder encoder({.head = kHead, .include_usage = true});
  const Json begin = Events(encoder.Add(0, Prompt(7)));
  ASSERT_EQ(begin.size(), 1u);
  EXPECT_EQ(begin[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(begin[0]["choices"][0]["delta"], Json::parse(R"({"role":"assistant","content":""})"));
  EXPECT_TRUE(begin[0].contains("usage") && begin[0]["usage"].is_null());
  const Json delta = Events(encoder.Add(0, Text(0, "a")));
  EXPECT_EQ(delta[0]["choices"][0]["delta"], Json::parse(R"({"content": "a"})"));
  EXPECT_TRUE(delta[0]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(encoder.Add(0, Text(0, "")), "");
  const Json end = Events(encoder.Add(0, End(0, v1::FINISH_REASON_LENGTH)));
  EXPECT_EQ(end[0]["choices"][0]["finish_reason"], "length");
  const Json usage = Events(encoder.End());
  EXPECT_EQ(usage[0]["choices"], Json::array());
  EXPECT_EQ(usage[0]["usage"]["total_tokens"], 8);
}

TEST(ChatChunkEncoder, StreamsReasoningAndCallsOfTools) {
  ChatChunkEncoder encoder({.head = kHead, .format = {.tools = true}});
  v1::GenerateStreamResponse prompt = Prompt(1);
  prompt.mutable_prompt_info()->set_begins_in_reasoning(true);
  encoder.Add(0, prompt);
  const Json reasoning = Events(encoder.Add(0, Text(0, "hm")));
  EXPECT_EQ(reasoning[0]["choices"][0]["delta"], Json::parse(R"({"reasoning_content": "hm"})"));
  EXPECT_EQ(encoder.Add(0, Text(0, "</think><tool_call>{\"name\":")), "");
  encoder.Add(0, Text(0, "\"f\"}</tool_call>"));
  const Json second = Events(encoder.Add(0, Text(0, "<tool_call>{\"name\":\"g\"}</tool_call>")));
  const Json call = second[0]["choices"][0]["delta"]["tool_calls"][0];
  EXPECT_EQ(call["index"], 1);
  EXPECT_EQ(call["function"], Json::parse(R"({"name": "g", "arguments": "{}"})"));
  const Json end = Events(encoder.Add(0, End(0, v1::FINISH_REASON_STOP)));
  EXPECT_EQ(end[0]["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(encoder.End(), "");
}

}  // namespace
}  // namespace spearfish::server
