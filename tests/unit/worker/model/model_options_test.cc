#include "worker/model/model_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace spearfish::worker {
namespace {

ModelConfig Config() {
  ModelConfig config;
  config.max_position_embeddings = 4096;
  return config;
}

std::string MessageOf(const ModelOptions& options) {
  const absl::Status status = options.Validate(Config());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(ModelOptionsTest, DefaultsAreValid) {
  EXPECT_TRUE(ModelOptions{}.Validate(Config()).ok());
  const ModelOptions resolved = ModelOptions{}.Resolved(Config());
  EXPECT_EQ(resolved.max_model_len, 4096u);
  EXPECT_EQ(resolved.BlocksPerSequence(), 256u);
  EXPECT_EQ(resolved.max_borrowed_step_tokens, resolved.max_step_tokens);
}

TEST(ModelOptionsTest, NamesFieldValueAndBound) {
  EXPECT_THAT(MessageOf({.max_model_len = 5000}),
              testing::HasSubstr("max_model_len is 5000; choose 0 to 4096"));
  EXPECT_THAT(MessageOf({.max_step_tokens = 0}), testing::HasSubstr("max_step_tokens is 0"));
  EXPECT_THAT(MessageOf({.max_step_tokens = 8, .max_step_sequences = 9}),
              testing::HasSubstr("max_step_sequences is 9; choose 1 to 8"));
  EXPECT_THAT(MessageOf({.max_step_tokens = 8, .max_borrowed_step_tokens = 7}),
              testing::HasSubstr("max_borrowed_step_tokens is 7; choose 8 to 65536"));
  EXPECT_THAT(MessageOf({.kv_block_tokens = 0}), testing::HasSubstr("kv_block_tokens is 0"));
  EXPECT_THAT(MessageOf({.logit_chunk_rows = 0}), testing::HasSubstr("logit_chunk_rows is 0"));
  EXPECT_THAT(MessageOf({.dense = {.bits = 4}}),
              testing::HasSubstr("dense.bits is 4; choose 8 or 16"));
}

TEST(ModelOptionsTest, OneSequenceMustFitTheBlocks) {
  EXPECT_THAT(MessageOf({.max_model_len = 100, .kv_blocks = 6}),
              testing::HasSubstr("kv_blocks is 6; choose 7"));
  EXPECT_TRUE((ModelOptions{.max_model_len = 100, .kv_blocks = 7}.Validate(Config()).ok()));
}

}  // namespace
}  // namespace spearfish::worker
