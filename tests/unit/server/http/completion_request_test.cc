#include "server/http/completion_request.h"

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

absl::StatusOr<CompletionRequest> Read(absl::string_view fields) {
  return ReadCompletionRequest(absl::StrCat(R"({"model": "m", )", fields, "}"));
}

TEST(CompletionRequest, TakesEveryFormOfPrompt) {
  EXPECT_EQ(Read(R"("prompt": "a")")->requests.at(0).text(), "a");
  EXPECT_THAT(Read(R"("prompt": [1, 2])")->requests.at(0).token_ids().ids(), ElementsAre(1, 2));
  const auto texts = Read(R"("prompt": ["a", "b"])");
  ASSERT_EQ(texts->requests.size(), 2u);
  EXPECT_EQ(texts->requests[1].text(), "b");
  const auto ids = Read(R"("prompt": [[1], [2, 3]])");
  ASSERT_EQ(ids->requests.size(), 2u);
  EXPECT_THAT(ids->requests[1].token_ids().ids(), ElementsAre(2, 3));
}

TEST(CompletionRequest, HasOpenAisDefaults) {
  const auto request = Read(R"("prompt": "a")");
  EXPECT_EQ(request->requests[0].stopping().max_tokens(), 16u);
  EXPECT_FALSE(request->requests[0].output().has_logprobs());
  EXPECT_THAT(request->echoes, ElementsAre(""));
}

TEST(CompletionRequest, EveryPromptHasTheSameFields) {
  const auto request = Read(
      R"("prompt": ["a", "b"], "max_tokens": 3, "logprobs": 0, "seed": 5, "n": 2, "best_of": 2)");
  for (const v1::GenerateStreamRequest& one : request->requests) {
    EXPECT_EQ(one.stopping().max_tokens(), 3u);
    EXPECT_TRUE(one.output().has_logprobs());
    EXPECT_EQ(one.sampling().seed(), 5u);
    EXPECT_EQ(one.sampling().num_sequences(), 2u);
    EXPECT_EQ(one.model(), "m");
  }
}

TEST(CompletionRequest, EchoesTexts) {
  EXPECT_THAT(Read(R"("prompt": ["a", "b"], "echo": true)")->echoes, ElementsAre("a", "b"));
}

TEST(CompletionRequest, RefusesNamingTheField) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"prompt", R"("prompt": null)"},
      {"prompt", R"("prompt": [])"},
      {"prompt", R"("prompt": {})"},
      {"prompt[1]", R"("prompt": ["a", 1])"},
      {"prompt[1]", R"("prompt": [1, "a"])"},
      {"prompt[0]", R"("prompt": [-1])"},
      {"prompt[0][0]", R"("prompt": [[4294967296]])"},
      {"echo", R"("prompt": [1], "echo": true)"},
      {"echo", R"("prompt": "a", "echo": true, "logprobs": 1)"},
      {"suffix", R"("prompt": "a", "suffix": "b")"},
      {"best_of", R"("prompt": "a", "best_of": 2)"},
      {"max_tokens", R"("prompt": "a", "max_tokens": 0)"},
      {"logprobs", R"("prompt": "a", "logprobs": true)"},
  };
  for (const auto& [param, fields] : cases) {
    EXPECT_EQ(ParamOf(Read(fields).status()), param) << fields;
  }
}

TEST(CompletionRequest, RefusesWhatCopyingWouldMakeLarge) {
  std::string prompts = "\"\"";
  for (int i = 1; i < 1000; ++i) prompts += ",\"\"";
  const auto request = Read(
      absl::StrCat(R"("stop": ")", std::string(100000, 'x'), R"(", "prompt": [)", prompts, "]"));
  EXPECT_EQ(ParamOf(request.status()), "prompt");
}

}  // namespace
}  // namespace spearfish::server
