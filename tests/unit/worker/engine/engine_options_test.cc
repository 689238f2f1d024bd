#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/engine/fake_model.h"
#include "tests/unit/worker/engine/fake_tokenizer.h"
#include "tests/unit/worker/kv/growing_block_source.h"
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

// Extents that can only be claimed may be out of reach for as long as a request waits.
TEST(EngineOptionsTest, OnlyReservedBlocksAreRoomForASequence) {
  GrowingBlockSource source(10, 1, 5);
  FakeModelOptions options;
  options.kv_blocks = &source;
  FakeModel model(options);
  const FakeTokenizer tokenizer({"a"});
  const auto engine = Engine::Create({}, model, tokenizer);
  ASSERT_TRUE(engine.ok()) << engine.status();
  GenerationRequest request;
  request.request_id = "r";
  request.prompt = std::vector<TokenId>(20, 1);  // as many as five blocks hold
  const absl::Status status = (*engine)->Submit(request, [](const EngineEvent&) {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  request.prompt.resize(19);
  request.stopping.max_tokens = 1;
  EXPECT_TRUE((*engine)->Submit(request, [](const EngineEvent&) {}).ok());
  EXPECT_TRUE((*engine)->WaitIdle(absl::InfiniteDuration()));
}

}  // namespace
}  // namespace spearfish::worker
