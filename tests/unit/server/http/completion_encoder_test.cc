#include "server/http/completion_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/server/http/messages.h"

namespace spearfish::server {
namespace {

using Form = CompletionEncoder::Form;
const ResponseHead kHead{.id = "cmpl-1", .model = "m", .created = 5};

TEST(CompletionEncoder, ChoicesOfPromptsStandInOrder) {
  CompletionEncoder encoder({.head = kHead, .echoes = {"P", "Q"}, .choices_per_prompt = 2},
                            Form::kWhole);
  encoder.Add(1, Prompt(3));
  encoder.Add(1, Text(0, "c"));
  encoder.Add(0, Prompt(2));
  encoder.Add(0, Text(1, "b"));
  encoder.Add(0, End(0, v1::FINISH_REASON_ABORTED));
  encoder.Add(0, End(1, v1::FINISH_REASON_LENGTH));
  encoder.Add(1, End(0, v1::FINISH_REASON_STOP));
  encoder.Add(1, End(1, v1::FINISH_REASON_STOP));
  const Json body = Json::parse(encoder.End());
  EXPECT_EQ(body["object"], "text_completion");
  ASSERT_EQ(body["choices"].size(), 4u);
  EXPECT_EQ(body["choices"][0]["text"], "P");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "abort");
  EXPECT_EQ(body["choices"][1]["text"], "Pb");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(body["choices"][2]["text"], "Qc");
  EXPECT_EQ(body["choices"][3]["index"], 3);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(body["usage"]["completion_tokens"], 4);
}

TEST(CompletionEncoder, LegacyLogprobs) {
  CompletionEncoder encoder({.head = kHead, .echoes = {""}, .logprobs = true}, Form::kWhole);
  encoder.Add(0, Scored("\xc3\xa4", -0.5f));
  encoder.Add(0, Scored("b", -1.0f));
  encoder.Add(0, End(0, v1::FINISH_REASON_STOP));
  EXPECT_EQ(Json::parse(encoder.End())["choices"][0]["logprobs"], Json::parse(R"({
      "tokens": ["\u00e4", "b"], "token_logprobs": [-0.5, -1.0],
      "top_logprobs": [{"\u00e4": -0.5}, {"b": -1.0}], "text_offset": [0, 1]})"));
}

TEST(CompletionEncoder, StreamsEachTextOnce) {
  CompletionEncoder encoder(
      {.head = kHead, .echoes = {"P"}, .logprobs = true, .include_usage = true}, Form::kChunks);
  EXPECT_EQ(encoder.Add(0, Prompt(2)), "");
  const Json first = Events(encoder.Add(0, Scored("a", -0.5f)));
  EXPECT_EQ(first[0]["choices"][0]["text"], "Pa");
  EXPECT_TRUE(first[0]["choices"][0]["finish_reason"].is_null());
  const Json second = Events(encoder.Add(0, Scored("b", -1.0f)));
  EXPECT_EQ(second[0]["choices"][0]["text"], "b");
  EXPECT_EQ(second[0]["choices"][0]["logprobs"]["text_offset"], Json::parse("[1]"));
  const Json end = Events(encoder.Add(0, End(0, v1::FINISH_REASON_LENGTH)));
  EXPECT_EQ(end[0]["choices"][0]["text"], "");
  EXPECT_EQ(end[0]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(Events(encoder.End())[0]["usage"]["total_tokens"], 3);
}

}  // namespace
}  // namespace spearfish::server
