#include "worker/engine/validate_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace spearfish::worker {
namespace {

using ::testing::HasSubstr;

constexpr RequestLimits kLimits{.vocab_size = 2000, .max_sequence_tokens = 32, .num_eos_ids = 2};

GenerationRequest Good() {
  GenerationRequest request;
  request.request_id = "r";
  request.prompt = {1, 2, 3};
  return request;
}

// One change to a good request, and the field, value and bound that its refusal names.
struct BadCase {
  const char* name;
  std::function<void(GenerationRequest&)> change;
  const char* field;
  const char* value;
  const char* bound;
};

class ValidateRequestTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(ValidateRequestTest, NamesFieldValueAndBound) {
  GenerationRequest request = Good();
  GetParam().change(request);
  const absl::Status status = ValidateRequest(request, kLimits);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr(GetParam().field));
  EXPECT_THAT(message, HasSubstr(GetParam().value));
  EXPECT_THAT(message, HasSubstr(GetParam().bound));
  EXPECT_LT(message.size(), 300u) << "the message doesn't carry the value when it is large";
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Parameters, ValidateRequestTest,
    ::testing::Values(
        BadCase{"NoId", [](auto& r) { r.request_id = ""; }, "request_id", "0 bytes", "1 to 256"},
        BadCase{"LongId", [](auto& r) { r.request_id = std::string(257, 'x'); }, "request_id",
                "257 bytes", "1 to 256"},
        BadCase{"EmptyPrompt", [](auto& r) { r.prompt = {}; }, "prompt", "0 tokens", "at least 1"},
        BadCase{"PromptFillsTheModel", [](auto& r) { r.prompt.assign(32, 1); }, "prompt",
                "32 tokens", "at most 31 tokens"},
        BadCase{"PromptTooLong", [](auto& r) { r.prompt.assign(1000000, 1); }, "prompt",
                "1000000 tokens", "at most 31 tokens"},
        BadCase{"IdOutOfVocabulary", [](auto& r) { r.prompt = {1, 2000}; }, "prompt[1]",
                "token 2000", "below the vocabulary size 2000"},
        BadCase{"NoSequence", [](auto& r) { r.num_sequences = 0; }, "num_sequences", "is 0",
                "1 to 64"},
        BadCase{"TooManySequences", [](auto& r) { r.num_sequences = 65; }, "num_sequences",
                "is 65", "1 to 64"},
        BadCase{"TemperatureNegative", [](auto& r) { r.sampling.temperature = -0.5f; },
                "sampling.temperature", "-0.5", "[0, 100]"},
        BadCase{"TemperatureLarge", [](auto& r) { r.sampling.temperature = 101; },
                "sampling.temperature", "101", "[0, 100]"},
        BadCase{"TemperatureNan", [](auto& r) { r.sampling.temperature = kNan; },
                "sampling.temperature", "nan", "[0, 100]"},
        BadCase{"TopPZero", [](auto& r) { r.sampling.top_p = 0; }, "sampling.top_p", "is 0",
                "(0, 1]"},
        BadCase{"TopPLarge", [](auto& r) { r.sampling.top_p = 1.5f; }, "sampling.top_p", "1.5",
                "(0, 1]"},
        BadCase{"MinPNegative", [](auto& r) { r.sampling.min_p = -1; }, "sampling.min_p", "-1",
                "[0, 1]"},
        BadCase{"MinPLarge", [](auto& r) { r.sampling.min_p = 2; }, "sampling.min_p", "2",
                "[0, 1]"},
        BadCase{"PresenceLow", [](auto& r) { r.sampling.presence_penalty = -2.5f; },
                "sampling.presence_penalty", "-2.5", "[-2, 2]"},
        BadCase{"FrequencyHigh", [](auto& r) { r.sampling.frequency_penalty = 3; },
                "sampling.frequency_penalty", "3", "[-2, 2]"},
        BadCase{"RepetitionZero", [](auto& r) { r.sampling.repetition_penalty = 0; },
                "sampling.repetition_penalty", "0", "(0, 100]"},
        BadCase{"RepetitionInfinite", [](auto& r) { r.sampling.repetition_penalty = kInf; },
                "sampling.repetition_penalty", "inf", "(0, 100]"},
        BadCase{"BiasKey", [](auto& r) { r.sampling.logit_bias[2000] = 1; },
                "sampling.logit_bias key", "2000", "below the vocabulary size 2000"},
        BadCase{"BiasValue", [](auto& r) { r.sampling.logit_bias[7] = -100.5f; },
                "sampling.logit_bias[7]", "-100.5", "[-100, 100]"},
        BadCase{"TooManyBiases",
                [](auto& r) {
                  for (TokenId id = 0; id < 1025; ++id) r.sampling.logit_bias[id] = 1;
                },
                "sampling.logit_bias", "1025", "at most 1024"},
        BadCase{"BiasesAndBans",
                [](auto& r) {
                  for (TokenId id = 0; id < 1022; ++id) r.sampling.logit_bias[id] = 1;
                  r.stopping.stop_token_ids = {5};
                  r.stopping.min_tokens = 1;
                },
                "sampling.logit_bias", "1022", "at most 1021"},
        BadCase{"TooManyStopIds", [](auto& r) { r.stopping.stop_token_ids.assign(257, 1); },
                "stopping.stop_token_ids", "257", "at most 256"},
        BadCase{"StopIdOutOfVocabulary", [](auto& r) { r.stopping.stop_token_ids = {4, 5000}; },
                "stopping.stop_token_ids[1]", "5000", "below the vocabulary size 2000"},
        BadCase{"TooManyStopStrings", [](auto& r) { r.stopping.stop_strings.assign(65, "x"); },
                "stopping.stop_strings", "65", "at most 64"},
        BadCase{"EmptyStopString", [](auto& r) { r.stopping.stop_strings = {"x", ""}; },
                "stopping.stop_strings[1]", "0 bytes", "1 to 1024"},
        BadCase{"StopStringOfAMegabyte",
                [](auto& r) { r.stopping.stop_strings = {std::string(1 << 20, 'x')}; },
                "stopping.stop_strings[0]", "1048576 bytes", "1 to 1024"},
        BadCase{"StopStringNotUtf8", [](auto& r) { r.stopping.stop_strings = {"a\xA9"}; },
                "stopping.stop_strings[0]", "byte 1", "valid UTF-8"},
        BadCase{"MinOverMaxTokens",
                [](auto& r) {
                  r.stopping.max_tokens = 4;
                  r.stopping.min_tokens = 5;
                },
                "stopping.min_tokens", "is 5", "at most 4"},
        BadCase{"MinTokensOverTheRoom", [](auto& r) { r.stopping.min_tokens = 30; },
                "stopping.min_tokens", "is 30", "at most 29"},
        BadCase{"Logprobs", [](auto& r) { r.output.logprobs = 65; }, "output.logprobs", "65",
                "at most 64"},
        BadCase{"PromptLogprobs", [](auto& r) { r.output.prompt_logprobs = 65; },
                "output.prompt_logprobs", "65", "at most 64"}),
    [](const auto& test) { return test.param.name; });

TEST(ValidateRequestBoundsTest, TakesEveryParameterAtItsBound) {
  GenerationRequest request = Good();
  request.request_id = std::string(256, 'x');
  request.prompt.assign(31, 1999);
  request.num_sequences = 64;
  request.sampling = {.temperature = 100,
                      .top_p = 1,
                      .min_p = 1,
                      .top_k = 0xffffffff,
                      .seed = 0xffffffffffffffff,
                      .presence_penalty = -2,
                      .frequency_penalty = 2,
                      .repetition_penalty = 100,
                      .logit_bias = {{0, -100}, {1999, 100}}};
  request.stopping.stop_token_ids.assign(256, 1999);
  request.stopping.stop_strings.assign(64, std::string(1024, 'x'));
  request.stopping.max_tokens = 0xffffffff;
  request.stopping.min_tokens = 1;
  request.output.logprobs = 64;
  request.output.prompt_logprobs = 64;
  EXPECT_TRUE(ValidateRequest(request, kLimits).ok()) << ValidateRequest(request, kLimits);
}

TEST(ValidateRequestBoundsTest, MaxTokensIsCutToTheRoom) {
  GenerationRequest request = Good();
  EXPECT_EQ(ResolvedMaxTokens(request, kLimits), 29u);
  request.stopping.max_tokens = 1000;
  EXPECT_EQ(ResolvedMaxTokens(request, kLimits), 29u);
  request.stopping.max_tokens = 5;
  EXPECT_EQ(ResolvedMaxTokens(request, kLimits), 5u);
}

}  // namespace
}  // namespace spearfish::worker
