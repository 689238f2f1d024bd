#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/engine/fake_model.h"
#include "tests/unit/worker/engine/fake_tokenizer.h"
#include "worker/engine/engine.h"

namespace spearfish::worker {
namespace {

using ::testing::HasSubstr;

void ExpectRefused(const EngineOptions& options, const char* field) {
  FakeModel model({});
  const FakeTokenizer tokenizer({"a"});
  const auto engine = Engine::Create(options, model, tokenizer);
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr(field));
}

TEST(EngineOptionsTest, DefaultsAreValid) { EXPECT_TRUE(EngineOptions().Validate().ok()); }

TEST(EngineOptionsTest, NamesTheFieldThatIsOutOfRange) {
  ExpectRefused({.max_num_seqs = 0}, "max_num_seqs");
  ExpectRefused({.max_num_waiting = 0}, "max_num_waiting");
  ExpectRefused({.max_num_seqs = 64, .max_num_batched_tokens = 63}, "max_num_batched_tokens");
  ExpectRefused({.max_prefill_chunk_tokens = 0}, "max_prefill_chunk_tokens");
  ExpectRefused({.clock = nullptr}, "clock");
}

TEST(EngineOptionsTest, RefusesAModelWithoutRoomForASequence) {
  FakeModel model({.language = {}, .num_kv_blocks = 1, .kv_block_tokens = 1});
  const FakeTokenizer tokenizer({"a"});
  const auto engine = Engine::Create({}, model, tokenizer);
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("1 KV blocks of 1 tokens"));
}

}  // namespace
}  // namespace spearfish::worker
