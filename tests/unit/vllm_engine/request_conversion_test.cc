#include "common/vllm_engine/request_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace spearfish::vllm_engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

wire::GenerateRequest Tokenized(const std::vector<uint32_t>& ids) {
  wire::GenerateRequest request;
  request.mutable_tokenized()->mutable_input_ids()->Add(ids.begin(), ids.end());
  return request;
}

v1::GenerateStreamRequest Convert(const wire::GenerateRequest& request) {
  const auto converted = ToGenerateStreamRequest(request);
  EXPECT_TRUE(converted.ok()) << converted.status();
  return converted.ok() ? *converted : v1::GenerateStreamRequest();
}

std::string Refusal(const std::function<void(wire::GenerateRequest&)>& change) {
  wire::GenerateRequest request = Tokenized({1, 2});
  change(request);
  const auto converted = ToGenerateStreamRequest(request);
  EXPECT_EQ(converted.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(converted.status().message());
}

TEST(RequestConversion, LeavesOutWhatIsZeroWhereZeroHasNoMeaning) {
  const v1::Sampling sampling = Convert(Tokenized({1})).sampling();
  EXPECT_FALSE(sampling.has_temperature());
  EXPECT_FALSE(sampling.has_top_p());
  EXPECT_FALSE(sampling.has_top_k());
  EXPECT_FALSE(sampling.has_repetition_penalty());
  EXPECT_FALSE(sampling.has_seed());
  EXPECT_EQ(sampling.num_sequences(), 0u);
  // Zero says something here.
  EXPECT_TRUE(sampling.has_min_p());
  EXPECT_EQ(sampling.min_p(), 0);
}

TEST(RequestConversion, LeavesOutWhatIsUnset) {
  const v1::GenerateStreamRequest out = Convert(Tokenized({1}));
  EXPECT_FALSE(out.stopping().has_max_tokens());
  EXPECT_FALSE(out.stopping().has_min_tokens());
  EXPECT_FALSE(out.output().has_logprobs());
  EXPECT_FALSE(out.output().has_prompt_logprobs());
  EXPECT_FALSE(out.output().text());
  EXPECT_FALSE(out.output().include_stop_string());
  EXPECT_FALSE(out.stopping().ignore_eos());
  EXPECT_EQ(out.request_id(), "");
}

TEST(RequestConversion, PassesSamplingOn) {
  wire::GenerateRequest request = Tokenized({1});
  wire::SamplingParams& params = *request.mutable_sampling_params();
  params.set_temperature(0);
  params.set_top_p(0.5f);
  params.set_top_k(20);
  params.set_min_p(0.25f);
  params.set_frequency_penalty(1.5f);
  params.set_presence_penalty(-1.5f);
  params.set_repetition_penalty(1.25f);
  params.set_n(3);
  (*params.mutable_logit_bias())[7] = -2.5f;
  const v1::Sampling sampling = Convert(request).sampling();
  EXPECT_TRUE(sampling.has_temperature());
  EXPECT_EQ(sampling.temperature(), 0);
  EXPECT_EQ(sampling.top_p(), 0.5f);
  EXPECT_EQ(sampling.top_k(), 20u);
  EXPECT_EQ(sampling.min_p(), 0.25f);
  EXPECT_EQ(sampling.frequency_penalty(), 1.5f);
  EXPECT_EQ(sampling.presence_penalty(), -1.5f);
  EXPECT_EQ(sampling.repetition_penalty(), 1.25f);
  EXPECT_EQ(sampling.num_sequences(), 3u);
  EXPECT_EQ(sampling.logit_bias().at(7), -2.5f);
}

TEST(RequestConversion, PassesStoppingOutputAndIdOn) {
  wire::GenerateRequest request = Tokenized({1});
  request.set_request_id("chatcmpl-1");
  wire::SamplingParams& params = *request.mutable_sampling_params();
  params.set_max_tokens(9);
  params.set_min_tokens(2);
  params.add_stop("END");
  params.add_stop_token_ids(5);
  params.set_ignore_eos(true);
  params.set_logprobs(0);
  params.set_prompt_logprobs(4);
  params.set_include_stop_str_in_output(true);
  const v1::GenerateStreamRequest out = Convert(request);
  EXPECT_EQ(out.request_id(), "chatcmpl-1");
  EXPECT_EQ(out.stopping().max_tokens(), 9u);
  EXPECT_EQ(out.stopping().min_tokens(), 2u);
  EXPECT_THAT(out.stopping().stop_strings(), ElementsAre("END"));
  EXPECT_THAT(out.stopping().stop_token_ids(), ElementsAre(5));
  EXPECT_TRUE(out.stopping().ignore_eos());
  EXPECT_TRUE(out.output().has_logprobs());
  EXPECT_EQ(out.output().logprobs(), 0u);
  EXPECT_EQ(out.output().prompt_logprobs(), 4u);
  EXPECT_TRUE(out.output().include_stop_string());
}

// Who serves it says that 0 tokens are too few.
TEST(RequestConversion, PassesAMaximumOfZeroTokensOn) {
  wire::GenerateRequest request = Tokenized({1});
  request.mutable_sampling_params()->set_max_tokens(0);
  EXPECT_TRUE(Convert(request).stopping().has_max_tokens());
}

TEST(RequestConversion, KeepsTheSignOfSeedsApartAndDrawsOneForMinusOne) {
  wire::GenerateRequest request = Tokenized({1});
  request.mutable_sampling_params()->set_seed(0);
  EXPECT_TRUE(Convert(request).sampling().has_seed());
  request.mutable_sampling_params()->set_seed(-2);
  EXPECT_EQ(Convert(request).sampling().seed(), std::numeric_limits<uint64_t>::max() - 1);
  request.mutable_sampling_params()->set_seed(-1);
  EXPECT_FALSE(Convert(request).sampling().has_seed());
}

TEST(RequestConversion, KeepsTheLastTokensOfATruncatedPrompt) {
  wire::GenerateRequest request = Tokenized({1, 2, 3, 4});
  request.mutable_sampling_params()->set_truncate_prompt_tokens(3);
  EXPECT_THAT(Convert(request).token_ids().ids(), ElementsAre(2, 3, 4));
  request.mutable_sampling_params()->set_truncate_prompt_tokens(4);
  EXPECT_THAT(Convert(request).token_ids().ids(), ElementsAre(1, 2, 3, 4));
  request.mutable_sampling_params()->set_truncate_prompt_tokens(
      std::numeric_limits<int32_t>::max());
  EXPECT_THAT(Convert(request).token_ids().ids(), ElementsAre(1, 2, 3, 4));
}

TEST(RequestConversion, AsksForTokenIdsOfATextThatIsTruncatedOrScored) {
  wire::GenerateRequest request;
  request.set_text("one two three");
  EXPECT_FALSE(NeedsTokenIds(request));
  EXPECT_EQ(Convert(request).text(), "one two three");
  request.mutable_sampling_params()->set_prompt_logprobs(0);
  EXPECT_TRUE(NeedsTokenIds(request));
  request.mutable_sampling_params()->clear_prompt_logprobs();
  request.mutable_sampling_params()->set_truncate_prompt_tokens(2);
  EXPECT_TRUE(NeedsTokenIds(request));

  v1::GenerateStreamRequest converted = Convert(request);
  v1::TokenIds ids;
  for (const uint32_t id : {11, 12, 13}) ids.add_ids(id);
  SetTokenIds(request, ids, converted);
  EXPECT_THAT(converted.token_ids().ids(), ElementsAre(12, 13));

  wire::GenerateRequest tokenized = Tokenized({1});
  tokenized.mutable_sampling_params()->set_prompt_logprobs(1);
  EXPECT_FALSE(NeedsTokenIds(tokenized));
}

TEST(RequestConversion, NamesTheConstraintThatItRefuses) {
  using Params = wire::SamplingParams;
  const std::vector<std::pair<std::string, std::function<void(Params&)>>> constraints = {
      {"json_schema", [](Params& params) { params.set_json_schema("{}"); }},
      {"regex", [](Params& params) { params.set_regex("a*"); }},
      {"grammar", [](Params& params) { params.set_grammar("root ::= \"a\""); }},
      {"structural_tag", [](Params& params) { params.set_structural_tag("{}"); }},
      {"json_object", [](Params& params) { params.set_json_object(false); }},
      {"choice", [](Params& params) { params.mutable_choice(); }},
  };
  for (const auto& [name, set] : constraints) {
    const std::string refusal = Refusal(
        [&set = set](wire::GenerateRequest& request) { set(*request.mutable_sampling_params()); });
    EXPECT_THAT(refusal, HasSubstr("sampling_params." + name + " "));
  }
}

TEST(RequestConversion, RefusesNegativeNumbersByName) {
  const auto params = [](auto set) {
    return [set](wire::GenerateRequest& request) { set(*request.mutable_sampling_params()); };
  };
  EXPECT_THAT(Refusal(params([](auto& p) { p.set_logprobs(-1); })),
              HasSubstr("sampling_params.logprobs -1"));
  EXPECT_THAT(Refusal(params([](auto& p) { p.set_prompt_logprobs(-1); })),
              HasSubstr("sampling_params.prompt_logprobs -1"));
  EXPECT_THAT(Refusal(params([](auto& p) { (*p.mutable_logit_bias())[-3] = 1; })),
              HasSubstr("sampling_params.logit_bias key -3"));
  EXPECT_THAT(Refusal(params([](auto& p) { p.set_truncate_prompt_tokens(0); })),
              HasSubstr("sampling_params.truncate_prompt_tokens 0 is less than 1"));
}

TEST(RequestConversion, TakesTheOnlyRankAndRefusesOthers) {
  wire::GenerateRequest request = Tokenized({1});
  request.set_data_parallel_rank(0);
  Convert(request);
  for (const int rank : {1, -1}) {
    EXPECT_THAT(Refusal([rank](auto& r) { r.set_data_parallel_rank(rank); }),
                HasSubstr("data_parallel_rank " + std::to_string(rank)));
  }
}

TEST(RequestConversion, RefusesARequestWithoutInput) {
  EXPECT_THAT(Refusal([](auto& request) { request.clear_input(); }), HasSubstr("input is not set"));
}

}  // namespace
}  // namespace spearfish::vllm_engine
