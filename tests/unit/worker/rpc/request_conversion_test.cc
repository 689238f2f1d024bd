#include "worker/rpc/request_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/worker/rpc/byte_tokenizer.h"

namespace spearfish::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RequestConversion : public ::testing::Test {
 protected:
  RequestConversion() {
    defaults_.temperature = 0.5f;
    defaults_.top_p = 0.9f;
    defaults_.top_k = 20;
    defaults_.min_p = 0.1f;
    defaults_.repetition_penalty = 1.2f;
    request_.mutable_token_ids()->add_ids(1);
  }

  absl::StatusOr<GenerationRequest> Convert() const {
    const RequestContext context{.served_name = "served",
                                 .vocab_size = 300,
                                 .max_model_len = 8,
                                 .defaults = defaults_,
                                 .tokenizer = tokenizer_};
    return ToGenerationRequest(request_, context, {.request_id = 0xabc, .seed = 77});
  }

  // Each change of a fresh request is refused, with both parts in the text.
  struct BadCase {
    std::function<void(v1::GenerateRequest&)> change;
    std::string field;
    std::string bound;
  };
  void ExpectRefused(const std::vector<BadCase>& cases) {
    const v1::GenerateRequest good = request_;
    for (const BadCase& bad : cases) {
      request_ = good;
      bad.change(request_);
      const absl::Status status = Convert().status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.field;
      EXPECT_THAT(std::string(status.message()), HasSubstr(bad.field));
      EXPECT_THAT(std::string(status.message()), HasSubstr(bad.bound));
    }
  }

  GenerationConfig defaults_;
  ByteTokenizer tokenizer_;
  v1::GenerateRequest request_;
};

TEST_F(RequestConversion, UnsetFieldsTakeTheCheckpointsDefaults) {
  const auto converted = Convert();
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_EQ(converted->request_id, "req-0000000000000abc");
  EXPECT_EQ(converted->sampling.temperature, 0.5f);
  EXPECT_EQ(converted->sampling.top_p, 0.9f);
  EXPECT_EQ(converted->sampling.top_k, 20u);
  EXPECT_EQ(converted->sampling.min_p, 0.1f);
  EXPECT_EQ(converted->sampling.repetition_penalty, 1.2f);
  EXPECT_EQ(converted->sampling.seed, 77u);
  EXPECT_EQ(converted->num_sequences, 1u);
  EXPECT_EQ(converted->stopping.max_tokens, 0u);
  EXPECT_FALSE(converted->output.text);
  EXPECT_FALSE(converted->output.logprobs.has_value());
  EXPECT_EQ(converted->deadline, absl::InfiniteFuture());
}

TEST_F(RequestConversion, ZeroIsNotUnset) {
  request_.mutable_sampling()->set_temperature(0);
  request_.mutable_sampling()->set_top_k(0);
  request_.mutable_sampling()->set_min_p(0);
  request_.mutable_sampling()->set_seed(0);
  request_.mutable_output()->set_logprobs(0);
  const auto converted = Convert();
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_EQ(converted->sampling.temperature, 0.0f);
  EXPECT_EQ(converted->sampling.top_k, 0u);
  EXPECT_EQ(converted->sampling.min_p, 0.0f);
  EXPECT_EQ(converted->sampling.seed, 0u);
  EXPECT_EQ(converted->output.logprobs, 0u);
}

TEST_F(RequestConversion, EveryFieldArrives) {
  request_.set_request_id("mine");
  request_.set_model("served");
  request_.set_priority(-3);
  v1::Sampling& sampling = *request_.mutable_sampling();
  sampling.set_presence_penalty(1);
  sampling.set_frequency_penalty(-1);
  sampling.set_num_sequences(3);
  (*sampling.mutable_logit_bias())[5] = -100;
  v1::Stopping& stopping = *request_.mutable_stopping();
  stopping.set_max_tokens(9);
  stopping.set_min_tokens(2);
  stopping.add_stop_token_ids(4);
  stopping.add_stop_strings(std::string("stop"));
  stopping.set_ignore_eos(true);
  request_.mutable_output()->set_prompt_logprobs(7);
  request_.mutable_output()->set_text(true);
  request_.mutable_output()->set_include_stop_string(true);
  const auto converted = Convert();
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_EQ(converted->request_id, "mine");
  EXPECT_EQ(converted->priority, -3);
  EXPECT_EQ(converted->sampling.presence_penalty, 1);
  EXPECT_EQ(converted->sampling.frequency_penalty, -1);
  EXPECT_EQ(converted->num_sequences, 3u);
  EXPECT_EQ(converted->sampling.logit_bias.at(5), -100);
  EXPECT_EQ(converted->stopping.max_tokens, 9u);
  EXPECT_EQ(converted->stopping.min_tokens, 2u);
  EXPECT_THAT(converted->stopping.stop_token_ids, ElementsAre(4));
  EXPECT_THAT(converted->stopping.stop_strings, ElementsAre("stop"));
  EXPECT_TRUE(converted->stopping.ignore_eos);
  EXPECT_EQ(converted->output.prompt_logprobs, 7u);
  EXPECT_TRUE(converted->output.text);
  EXPECT_TRUE(converted->output.include_stop_string);
}

TEST_F(RequestConversion, TextIsTokenisedAndImpliesText) {
  request_.set_text("ab<end>");
  const auto converted = Convert();
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_THAT(converted->prompt, ElementsAre('a', 'b', ByteTokenizer::kEnd));
  EXPECT_TRUE(converted->output.text);
}

TEST_F(RequestConversion, RefusesPrompts) {
  ExpectRefused({
      {[](auto& r) { r.clear_token_ids(); }, "prompt", "text"},
      {[](auto& r) { r.mutable_token_ids()->clear_ids(); }, "token_ids", "at least 1"},
      {[](auto& r) { r.set_text(std::string()); }, "text", "at least 1"},
      {[](auto& r) { r.mutable_token_ids()->add_ids(300); }, "token_ids[1] 300", "300"},
      {[](auto& r) {
         for (int i = 0; i < 8; ++i) r.mutable_token_ids()->add_ids(1);
       },
       "9 tokens", "at most 8"},
      {[](auto& r) { r.set_text("123456789"); }, "9 tokens", "at most 8"},
  });
}

TEST_F(RequestConversion, RefusesSamplingOutOfRange) {
  const float nan = std::nanf("");
  ExpectRefused({
      {[](auto& r) { r.mutable_sampling()->set_temperature(-0.1f); }, "temperature", "[0, 100]"},
      {[](auto& r) { r.mutable_sampling()->set_temperature(100.5f); }, "temperature", "100.5"},
      {[&](auto& r) { r.mutable_sampling()->set_temperature(nan); }, "temperature", "nan"},
      {[&](auto& r) { r.mutable_sampling()->set_temperature(INFINITY); }, "temperature", "inf"},
      {[](auto& r) { r.mutable_sampling()->set_top_p(0); }, "top_p", "(0, 1]"},
      {[](auto& r) { r.mutable_sampling()->set_top_p(1.5f); }, "top_p", "1.5"},
      {[](auto& r) { r.mutable_sampling()->set_min_p(-1); }, "min_p", "[0, 1]"},
      {[](auto& r) { r.mutable_sampling()->set_presence_penalty(3); }, "presence", "[-2, 2]"},
      {[](auto& r) { r.mutable_sampling()->set_frequency_penalty(-3); }, "frequency", "[-2, 2]"},
      {[](auto& r) { r.mutable_sampling()->set_repetition_penalty(0); }, "repetition", "(0, 100]"},
      {[](auto& r) { r.mutable_sampling()->set_num_sequences(65); }, "num_sequences 65", "64"},
      {[](auto& r) { (*r.mutable_sampling()->mutable_logit_bias())[300] = 1; }, "logit_bias",
       "300"},
      {[](auto& r) { (*r.mutable_sampling()->mutable_logit_bias())[3] = 101; }, "logit_bias[3] 101",
       "[-100, 100]"},
      {[](auto& r) {
         for (uint32_t i = 0; i < 1025; ++i) (*r.mutable_sampling()->mutable_logit_bias())[i] = 1;
       },
       "logit_bias", "1025 entries, at most 1024"},
  });
}

TEST_F(RequestConversion, RefusesStoppingAndOutputOutOfRange) {
  ExpectRefused({
      {[](auto& r) { r.mutable_stopping()->set_max_tokens(0); }, "max_tokens 0", "less than 1"},
      {[](auto& r) {
         r.mutable_stopping()->set_max_tokens(2);
         r.mutable_stopping()->set_min_tokens(3);
       },
       "min_tokens 3", "2"},
      {[](auto& r) { r.mutable_stopping()->add_stop_token_ids(300); }, "stop_token_ids", "300"},
      {[](auto& r) {
         for (int i = 0; i < 257; ++i) r.mutable_stopping()->add_stop_token_ids(1);
       },
       "stop_token_ids", "at most 256"},
      {[](auto& r) { r.mutable_stopping()->add_stop_strings(std::string()); }, "stop_strings[0]",
       "empty"},
      {[](auto& r) { r.mutable_stopping()->add_stop_strings(std::string(1 << 20, 'a')); },
       "stop_strings[0] has 1048576 bytes", "1024"},
      {[](auto& r) {
         for (int i = 0; i < 65; ++i) r.mutable_stopping()->add_stop_strings(std::string("a"));
       },
       "stop_strings", "at most 64"},
      {[](auto& r) { r.mutable_output()->set_logprobs(65); }, "output.logprobs 65", "64"},
      {[](auto& r) { r.mutable_output()->set_prompt_logprobs(65); }, "prompt_logprobs 65", "64"},
      {[](auto& r) { r.set_request_id(std::string(257, 'a')); }, "request_id", "256"},
  });
}

TEST_F(RequestConversion, AnotherModelIsNotFound) {
  request_.set_model("other");
  const absl::Status status = Convert().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("served"));
}

TEST_F(RequestConversion, ChatWithoutATemplateNamesWhatToUse) {
  request_.mutable_chat()->add_messages()->set_role("user");
  const absl::Status status = Convert().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("token_ids"));
}

TEST_F(RequestConversion, BothRequestsConvertAlike) {
  request_.set_text("abc");
  request_.mutable_sampling()->set_top_k(3);
  v1::GenerateStreamRequest stream;
  ASSERT_TRUE(stream.ParseFromString(request_.SerializeAsString()));
  const RequestContext context{.served_name = "served",
                               .vocab_size = 300,
                               .max_model_len = 8,
                               .defaults = defaults_,
                               .tokenizer = tokenizer_};
  const auto converted = ToGenerationRequest(stream, context, {});
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_EQ(converted->prompt, Convert()->prompt);
  EXPECT_EQ(converted->sampling.top_k, 3u);
}

TEST_F(RequestConversion, ResumedStreamTakesItsTokensAndLeavesPromptLogprobs) {
  v1::GenerateStreamRequest stream;
  stream.mutable_token_ids()->add_ids(1);
  stream.mutable_sampling()->set_num_sequences(2);
  stream.mutable_output()->set_prompt_logprobs(1);
  stream.mutable_resume()->add_sequences()->add_generated_ids(7);
  stream.mutable_resume()->add_sequences()->set_finished(true);
  const RequestContext context{.served_name = "served",
                               .vocab_size = 300,
                               .max_model_len = 8,
                               .defaults = defaults_,
                               .tokenizer = tokenizer_};
  const auto converted = ToGenerationRequest(stream, context, {});
  ASSERT_TRUE(converted.ok()) << converted.status();
  ASSERT_EQ(converted->resumed.size(), 2u);
  EXPECT_THAT(converted->resumed[0].generated, ElementsAre(7));
  EXPECT_TRUE(converted->resumed[1].finished);
  EXPECT_EQ(converted->num_unfinished(), 1u);
  EXPECT_FALSE(converted->output.prompt_logprobs.has_value());
  stream.mutable_resume()->add_sequences();
  EXPECT_THAT(std::string(ToGenerationRequest(stream, context, {}).status().message()),
              HasSubstr("resume.sequences has 3 entries"));
}

}  // namespace
}  // namespace spearfish::worker
