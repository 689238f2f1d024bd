// `spearfish-pack heatmap` on the bundled checkpoint, run as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/golden/loaded_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"
#include "worker/experts/heatmap_file.h"
#include "worker/kv/block_allocator.h"
#include "worker/kv/block_table.h"

namespace spearfish {
namespace {

using testing::HasSubstr;

constexpr uint32_t kMaxTokens = 200;

struct Outcome {
  int exit_status = -1;
  std::string output;  // stdout and stderr together
};

class HeatmapCliTest : public testing::Test {
 protected:
  HeatmapCliTest() {
    std::string text;
    for (int i = 0; i < 60; ++i)
      absl::StrAppend(&text, "Line ", i, " of a text, like any other.\n");
    tests::WriteFile(text_, text);
  }
  Outcome Run(const std::string& arguments) const {
    const std::string command =
        absl::StrCat(SPEARFISH_BINARY_DIR "/spearfish-pack heatmap ", arguments,
                     " --threads=1 --shm-dir=", shm_.path(), " 2>&1");
    FILE* pipe = popen(command.c_str(), "r");
    Outcome outcome;
    std::array<char, 4096> buffer;
    while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
      outcome.output.append(buffer.data(), count);
    }
    const int status = pclose(pipe);
    outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }
  std::vector<TokenId> Tokens() const {
    const auto tokenizer = Tokenizer::FromFile(model_ + "/tokenizer.json").value();
    auto tokens =
        tokenizer->Encode(tests::ReadFile(text_), Tokenizer::SpecialTokens::kParse).value();
    tokens.resize(kMaxTokens);
    return tokens;
  }

  const std::string model_ = tests::BundledCheckpoint();
  const tests::TempDir shm_;
  const tests::TempDir files_;
  const std::string text_ = files_.File("text.txt");
  const std::string out_ = files_.File("heat.json");
};

// [layers * experts], by one step over all tokens.
std::vector<double> RoutedCounts(const std::string& checkpoint,
                                 const std::vector<TokenId>& tokens) {
  const auto loaded =
      tests::LoadedModel::Create(checkpoint, {.quant = {}, .model = {}, .num_threads = 1}).value();
  worker::Model& model = *loaded->model;
  worker::BlockAllocator allocator(model.kv_blocks());
  worker::BlockTable blocks(allocator, model.kv_block_tokens());
  const auto rows = static_cast<uint32_t>(tokens.size());
  EXPECT_TRUE(blocks.Grow(rows));
  const std::vector<worker::StepSequence> sequences = {
      {.token_ids = tokens, .context_len = rows, .block_table = blocks.blocks()}};
  worker::StepOutput output;
  model.Forward({.sequences = sequences}, output);
  const ModelConfig& config = model.config();
  std::vector<double> counts(size_t{config.num_moe_layers()} * config.num_experts, 0.0);
  const size_t a_layer = size_t{rows} * config.num_experts_per_token;
  for (size_t i = 0; i < output.expert_ids.size(); ++i) {
    counts[i / a_layer * config.num_experts + static_cast<size_t>(output.expert_ids[i])] += 1;
  }
  return counts;
}

TEST_F(HeatmapCliTest, CountsWhatTheModelRoutes) {
  const Outcome outcome = Run(absl::StrCat(model_, " --text=", text_, " --out=", out_,
                                           " --max-tokens=", kMaxTokens, " --chunk-tokens=64"));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("200 tokens of 1 texts, 4 layers of 16 experts"));
  const auto heatmap = worker::ReadHeatmap(out_);
  ASSERT_TRUE(heatmap.ok()) << heatmap.status();
  EXPECT_EQ(heatmap->num_tokens, kMaxTokens);
  const auto checkpoint = Checkpoint::Open(model_).value();
  const uint64_t k = checkpoint->config().num_experts_per_token;
  EXPECT_EQ(std::accumulate(heatmap->counts.begin(), heatmap->counts.end(), 0.0),
            static_cast<double>(kMaxTokens * heatmap->num_moe_layers * k));
  EXPECT_EQ(heatmap->counts, RoutedCounts(model_, Tokens()));
}

TEST_F(HeatmapCliTest, TakesTextsTogether) {
  const std::string once = absl::StrCat(" --text=", text_);
  ASSERT_EQ(Run(absl::StrCat(model_, once, " --out=", out_)).exit_status, 0);
  const worker::Heatmap one = worker::ReadHeatmap(out_).value();
  const Outcome outcome = Run(absl::StrCat(model_, once, once, " --out=", out_));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("of 2 texts"));
  const worker::Heatmap two = worker::ReadHeatmap(out_).value();
  EXPECT_EQ(two.num_tokens, 2 * one.num_tokens);
  for (size_t i = 0; i < two.counts.size(); ++i) EXPECT_EQ(two.counts[i], 2 * one.counts[i]);
}

TEST_F(HeatmapCliTest, TakesATextBeyondTheContextInPieces) {
  const uint32_t context = Checkpoint::Open(model_).value()->config().max_position_embeddings;
  std::string text;
  for (uint32_t i = 0; i < context; ++i) absl::StrAppend(&text, " ", i % 10);
  tests::WriteFile(text_, text);
  const Outcome outcome = Run(absl::StrCat(model_, " --text=", text_, " --out=", out_));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
  EXPECT_GT(worker::ReadHeatmap(out_).value().num_tokens, context);
}

TEST_F(HeatmapCliTest, SaysWhatIsWrong) {
  const Outcome missing = Run(absl::StrCat(model_, " --text=/nowhere.txt --out=", out_));
  EXPECT_EQ(missing.exit_status, 1);
  EXPECT_THAT(missing.output, HasSubstr("/nowhere.txt"));
  tests::WriteFile(text_, "");
  const Outcome empty = Run(absl::StrCat(model_, " --text=", text_, " --out=", out_));
  EXPECT_EQ(empty.exit_status, 1);
  EXPECT_THAT(empty.output, HasSubstr("no text"));
  EXPECT_EQ(Run(model_ + " --out=" + out_).exit_status, 2);
  EXPECT_FALSE(std::filesystem::exists(out_));
}

}  // namespace
}  // namespace spearfish
