#include "kernels/api/validate.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spearfish::kernels {
namespace {

using ::testing::HasSubstr;

// Never read: the validators look at addresses only.
alignas(16) char memory[64];
void* const kA = memory;
void* const kB = memory + 16;
void* const kC = memory + 32;
int32_t* const kInts = reinterpret_cast<int32_t*>(memory + 48);
float* const kFloats = reinterpret_cast<float*>(memory + 48);

void ExpectRefused(const absl::Status& status, const std::string& text) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

Matrix Weights(uint32_t rows, uint32_t cols) { return {kA, DType::kBF16, rows, cols}; }

TEST(ValidateTest, Embed) {
  const EmbedArgs good{.ids = kInts, .table = Weights(5, 4), .out = kB, .num_rows = 2};
  EXPECT_TRUE(Validate(good).ok());
  EmbedArgs bad = good;
  bad.ids = nullptr;
  ExpectRefused(Validate(bad), "invalid arguments of embed: ids is null");
  bad = good;
  bad.table.dtype = DType::kF16;
  ExpectRefused(Validate(bad), "table.dtype is F16; must be BF16 or F32");
  bad = good;
  bad.table.cols = 0;
  ExpectRefused(Validate(bad), "table.cols is 0");
  bad = good;
  bad.out = memory + 4;
  ExpectRefused(Validate(bad), "out is not aligned; align it to 16 bytes");
  bad.num_rows = 0;
  EXPECT_TRUE(Validate(bad).ok());
}

TEST(ValidateTest, RmsNorm) {
  const RmsNormArgs good{
      .x = kA, .residual = kB, .weight = kFloats, .out = kA, .num_rows = 1, .dim = 8, .eps = 1e-6f};
  EXPECT_TRUE(Validate(good).ok());
  RmsNormArgs bad = good;
  bad.residual = kA;
  ExpectRefused(Validate(bad), "residual aliases an input");
  bad = good;
  bad.eps = NAN;
  ExpectRefused(Validate(bad), "eps is nan; must be finite");
}

TEST(ValidateTest, Linear) {
  const LinearArgs good{.x = kB,
                        .weight = Weights(3, 7),
                        .bias = nullptr,
                        .out = kC,
                        .out_dtype = DType::kF32,
                        .num_rows = 1};
  EXPECT_TRUE(Validate(good).ok());
  LinearArgs bad = good;
  bad.out = kB;
  ExpectRefused(Validate(bad), "out aliases an input");
  bad = good;
  bad.weight.dtype = DType::kF16;
  ExpectRefused(Validate(bad), "weight.dtype is F16");
}

TEST(ValidateTest, Int8WeightsNeedScalesAndAreForLinearOnly) {
  LinearArgs linear{.x = kB,
                    .weight = {kA, DType::kI8, 3, 7, kFloats},
                    .bias = nullptr,
                    .out = kC,
                    .out_dtype = DType::kF32,
                    .num_rows = 1};
  EXPECT_TRUE(Validate(linear).ok());
  const EmbedArgs embed{.ids = kInts, .table = linear.weight, .out = kB, .num_rows = 2};
  ExpectRefused(Validate(embed), "table.dtype is I8; must be BF16 or F32");
  linear.weight.scales = nullptr;
  ExpectRefused(Validate(linear), "weight.scales is null");
  linear.weight.scales = kFloats + 1;
  ExpectRefused(Validate(linear), "weight.scales is not aligned");
  linear.weight.scales = kFloats;
  linear.weight.cols = 0;
  ExpectRefused(Validate(linear), "weight.cols is 0");
}

TEST(ValidateTest, QkNormRopeAppendAndItsCache) {
  const QkNormRopeAppendArgs good{.qkv = kA,
                                  .q_norm = nullptr,
                                  .k_norm = nullptr,
                                  .eps = 1e-6f,
                                  .positions = kInts,
                                  .inv_freq = kFloats,
                                  .slots = reinterpret_cast<int64_t*>(memory),
                                  .q_out = kB,
                                  .kv = {kB, kC, 4, 16, 2, 64, 8192},
                                  .num_rows = 1,
                                  .num_heads = 4};
  EXPECT_TRUE(Validate(good).ok());
  QkNormRopeAppendArgs bad = good;
  bad.num_heads = 3;
  ExpectRefused(Validate(bad), "num_heads is 3; must be a multiple of 2");
  bad = good;
  bad.kv.head_dim = 63;
  ExpectRefused(Validate(bad), "kv.head_dim is 63; must be a multiple of 2");
  bad = good;
  bad.kv.head_dim = 1024;
  ExpectRefused(Validate(bad), "kv.head_dim is 1024; must be between 2 and 512");
  bad = good;
  bad.kv.num_kv_heads = 0;
  ExpectRefused(Validate(bad), "kv.num_kv_heads is 0");
  bad = good;
  bad.kv.block_stride = 0;
  ExpectRefused(Validate(bad), "kv.block_stride is 0");
  bad = good;
  bad.kv.block_stride = 8200;
  ExpectRefused(Validate(bad), "kv.block_stride is 8200; must be a multiple of 16");
  bad = good;
  bad.kv.block_stride = 256;  // less than a block: ids are spaced
  EXPECT_TRUE(Validate(bad).ok());
}

TEST(ValidateTest, Attention) {
  const AttentionArgs good{.q = kA,
                           .kv = {kB, kC, 4, 16, 2, 64, 8192},
                           .query_starts = kInts,
                           .context_lens = kInts,
                           .block_tables = kInts,
                           .out = kB,
                           .scale = 0.125f,
                           .num_rows = 3,
                           .num_seqs = 2,
                           .max_blocks = 2,
                           .num_heads = 4};
  EXPECT_TRUE(Validate(good).ok());
  AttentionArgs bad = good;
  bad.scale = INFINITY;
  ExpectRefused(Validate(bad), "scale is inf");
  bad = good;
  bad.num_seqs = 0;
  ExpectRefused(Validate(bad), "num_seqs is 0");
  bad = good;
  bad.workspace = reinterpret_cast<char*>(kB) + 4;
  ExpectRefused(Validate(bad), "workspace is not aligned");
}

TEST(ValidateTest, RouterTopk) {
  const RouterTopkArgs good{.x = kB,
                            .gate = Weights(8, 16),
                            .k = 8,
                            .normalize = true,
                            .expert_ids = kInts,
                            .expert_weights = kFloats,
                            .activation_counts = nullptr,
                            .num_rows = 1};
  EXPECT_TRUE(Validate(good).ok());
  RouterTopkArgs bad = good;
  bad.k = 9;
  ExpectRefused(Validate(bad), "k is 9; must be between 1 and 8");
}

TEST(ValidateTest, Moe) {
  const MoeArgs good{.x = kA,
                     .expert_ids = kInts,
                     .expert_weights = kFloats,
                     .address_table = reinterpret_cast<uint64_t*>(memory),
                     .layout = {.hidden = 128,
                                .intermediate = 128,
                                .bits = 4,
                                .slice_channels = 128,
                                .num_slices = 1,
                                .w13_group = 128,
                                .w2_group = 128,
                                .gate_offset = 0,
                                .up_offset = 0,
                                .w13_scales_offset = 0,
                                .w2_offset = 0,
                                .w2_scales_offset = 0,
                                .slice_bytes = 0,
                                .record_bytes = 0},
                     .num_experts = 4,
                     .k = 2,
                     .out = kB,
                     .workspace = kC,
                     .num_rows = 1};
  EXPECT_TRUE(Validate(good).ok());
  MoeArgs bad = good;
  bad.layout.bits = 5;
  ExpectRefused(Validate(bad), "layout.bits is 5; must be a multiple of 4");
  bad = good;
  bad.k = 5;
  ExpectRefused(Validate(bad), "k is 5; must be between 1 and 4");
  bad = good;
  bad.workspace = nullptr;
  ExpectRefused(Validate(bad), "workspace is null");
}

TEST(ValidateTest, SiluMulAndGatherRows) {
  EXPECT_TRUE(Validate(SiluMulArgs{.gate_up = kA, .out = kB, .num_rows = 1, .dim = 4}).ok());
  ExpectRefused(Validate(SiluMulArgs{.gate_up = kA, .out = kA, .num_rows = 1, .dim = 4}),
                "silu_mul: out aliases an input");
  GatherRowsArgs gather{.x = kA, .rows = kInts, .out = kB, .num_rows = 1, .dim = 4};
  EXPECT_TRUE(Validate(gather).ok());
  gather.dim = 0;
  ExpectRefused(Validate(gather), "gather_rows: dim is 0");
}

TEST(ValidateTest, SampleAndLogProbs) {
  const SampleArgs sample{.logits = kFloats,
                          .rows = reinterpret_cast<SampleRow*>(memory),
                          .history = nullptr,
                          .biases = nullptr,
                          .out_tokens = kInts,
                          .workspace = kA,
                          .num_rows = 1,
                          .vocab = 10};
  EXPECT_TRUE(Validate(sample).ok());
  SampleArgs no_vocab = sample;
  no_vocab.vocab = 0;
  ExpectRefused(Validate(no_vocab), "vocab is 0");
  LogProbsArgs log_probs{.logits = kFloats,
                         .tokens = kInts,
                         .token_logprobs = kFloats,
                         .ranks = kInts,
                         .top_ids = nullptr,
                         .top_logprobs = nullptr,
                         .num_rows = 1,
                         .vocab = 10,
                         .top_n = 0};
  EXPECT_TRUE(Validate(log_probs).ok());
  log_probs.top_n = 3;
  ExpectRefused(Validate(log_probs), "top_ids is null");
  log_probs.top_n = 11;
  ExpectRefused(Validate(log_probs), "top_n is 11; must be between 0 and 10");
}

}  // namespace
}  // namespace spearfish::kernels
