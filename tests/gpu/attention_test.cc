#include "tests/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "tests/gpu/gpu_fixture.h"
#include "tests/gpu/gpu_tolerances.h"
#include "tests/reference/qk_norm_rope_append.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t num_heads;
  uint32_t num_kv_heads;
  uint32_t head_dim;
  uint32_t block_tokens;
};
struct Piece {
  int32_t num_queries;
  int32_t context_len;
};

// Sequences whose cache is filled with random keys and values in shuffled blocks. Everything that
// no sequence owns is NaN, so that reading it shows. Host memory, float32.
struct Batch {
  AttentionArgs args;
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
  std::vector<int32_t> query_starts;
  std::vector<int32_t> context_lens;
  std::vector<int32_t> block_tables;
};

class GpuAttentionTest : public GpuKernelTest {
 protected:
  std::unique_ptr<Batch> MakeBatch(const Shape& shape, const std::vector<Piece>& pieces) {
    auto batch = std::make_unique<Batch>();
    batch->query_starts.push_back(0);
    uint32_t max_blocks = 1;
    uint32_t num_blocks = 1;
    const auto blocks_of = [&](const Piece& piece) {
      return (static_cast<uint32_t>(piece.context_len) + shape.block_tokens - 1) /
             shape.block_tokens;
    };
    for (const Piece& piece : pieces) {
      batch->query_starts.push_back(batch->query_starts.back() + piece.num_queries);
      batch->context_lens.push_back(piece.context_len);
      max_blocks = std::max(max_blocks, blocks_of(piece));
      num_blocks += blocks_of(piece);
    }
    const size_t block_floats = size_t{shape.num_kv_heads} * shape.block_tokens * shape.head_dim;
    batch->k.assign(num_blocks * block_floats, NAN);
    batch->v.assign(num_blocks * block_floats, NAN);
    std::vector<int32_t> order;
    for (uint32_t b = 0; b < num_blocks; ++b) order.push_back(static_cast<int32_t>(b));
    std::shuffle(order.begin(), order.end(), random_);
    batch->block_tables.assign(pieces.size() * max_blocks, -1);
    const KvLayer kv{batch->k.data(),
                     batch->v.data(),
                     num_blocks,
                     shape.block_tokens,
                     shape.num_kv_heads,
                     shape.head_dim,
                     block_floats * sizeof(float)};
    for (size_t s = 0; s < pieces.size(); ++s) {
      for (uint32_t b = 0; b < blocks_of(pieces[s]); ++b) {
        batch->block_tables[s * max_blocks + b] = order.back();
        order.pop_back();
      }
      for (uint32_t p = 0; p < static_cast<uint32_t>(pieces[s].context_len); ++p) {
        const auto block =
            static_cast<size_t>(batch->block_tables[s * max_blocks + p / shape.block_tokens]);
        FillToken(kv, block * shape.block_tokens + p % shape.block_tokens, *batch);
      }
    }
    const auto num_rows = static_cast<uint32_t>(batch->query_starts.back());
    batch->q = RandomFloats(size_t{num_rows} * shape.num_heads * shape.head_dim);
    batch->args = {.q = batch->q.data(),
                   .kv = kv,
                   .query_starts = batch->query_starts.data(),
                   .context_lens = batch->context_lens.data(),
                   .block_tables = batch->block_tables.data(),
                   .out = nullptr,
                   .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
                   .num_rows = num_rows,
                   .num_seqs = static_cast<uint32_t>(pieces.size()),
                   .max_blocks = max_blocks,
                   .num_heads = shape.num_heads};
    return batch;
  }

  void FillToken(const KvLayer& kv, size_t slot, Batch& batch) {
    for (size_t h = 0; h < kv.num_kv_heads; ++h) {
      for (size_t i = 0; i < kv.head_dim; ++i) {
        batch.k[reference::KvIndex(kv, slot, h, i)] = RandomFloats(1)[0];
        batch.v[reference::KvIndex(kv, slot, h, i)] = RandomFloats(1)[0];
      }
    }
  }

  // Rounds the host's values to what the device holds.
  AttentionArgs Uploaded(Batch& batch, void* out) {
    AttentionArgs args = batch.args;
    args.q = UploadActivations(batch.q);
    // NaN stays NaN in both widths.
    args.kv.k = UploadActivations(batch.k);
    args.kv.v = UploadActivations(batch.v);
    args.kv.block_stride = batch.args.kv.block_stride / sizeof(float) * activation_bytes();
    args.query_starts = Upload(batch.query_starts);
    args.context_lens = Upload(batch.context_lens);
    args.block_tables = Upload(batch.block_tables);
    args.out = out;
    const uint64_t workspace_bytes =
        kernels_->AttentionWorkspaceBytes({.num_rows = std::max(args.num_rows, 64u),
                                           .max_keys = args.max_blocks * args.kv.block_tokens,
                                           .num_heads = args.num_heads,
                                           .num_kv_heads = args.kv.num_kv_heads,
                                           .head_dim = args.kv.head_dim});
    args.workspace = UploadBytes(std::vector<std::byte>(workspace_bytes + 1, std::byte{0xff}));
    return args;
  }

  Tolerance Close() const {
    const double tolerance = reference::kAttentionTolerance;
    return {tolerance, is_bf16() ? kBf16Output : tolerance};
  }
};
SF_GPU_SUITE(GpuAttentionTest);

TEST_P(GpuAttentionTest, MatchesOracle) {
  // Rows of a block must be a multiple of 16 bytes in either width.
  const Shape shapes[] = {{1, 1, 2, 8},     {4, 4, 32, 16},   {6, 2, 40, 5},
                          {10, 2, 64, 8},   {8, 1, 128, 16},  {7, 1, 20, 4},
                          {32, 2, 128, 16}, {12, 1, 256, 16}, {5, 1, 512, 16}};
  // Decode, whole prompts, a chunk inside a prompt, lengths around the chunk of 32 keys.
  const std::vector<Piece> pieces = {{1, 1},   {1, 130}, {7, 7},   {9, 31},
                                     {20, 32}, {3, 33},  {1, 200}, {1, 300}};
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(::testing::Message() << shape.num_heads << " heads of " << shape.head_dim);
    const auto batch = MakeBatch(shape, pieces);
    GuardedBytes out = ActivationOutput(batch->q.size());
    const AttentionArgs args = Uploaded(*batch, out.data());
    RunAndReplay([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
    ExpectClose(Activations(out), reference::Attention(batch->args), Close());
  }
}

TEST_P(GpuAttentionTest, MatchesOracleOverLongContexts) {
  for (const Shape& shape : {Shape{4, 2, 16, 16}, Shape{16, 2, 128, 16}, Shape{4, 2, 256, 8}}) {
    const auto batch = MakeBatch(shape, {{1, 2100}, {3, 513}, {1, 2048}, {2, 2049}, {1, 257}});
    GuardedBytes out = ActivationOutput(batch->q.size());
    const AttentionArgs args = Uploaded(*batch, out.data());
    RunAndReplay([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
    ExpectClose(Activations(out), reference::Attention(batch->args), Close());
  }
}

// Prompts whose queries share keys, beside sequences too short to; tiles of eight queries with odd
// ends, rows before position 0, contexts on either side of a rank's and a warp's share.
TEST_P(GpuAttentionTest, PromptsMatchOracle) {
  const Shape shapes[] = {
      {16, 1, 128, 16}, {8, 2, 64, 5}, {6, 2, 48, 16}, {32, 4, 128, 16}, {8, 1, 256, 8}};
  const std::vector<Piece> pieces = {{1, 70}, {19, 50}, {8, 8},    {13, 5},
                                     {3, 33}, {65, 65}, {24, 300}, {9, 2060}};
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(::testing::Message() << shape.num_heads << " heads of " << shape.head_dim);
    const auto batch = MakeBatch(shape, pieces);
    GuardedBytes out = ActivationOutput(batch->q.size());
    const AttentionArgs args = Uploaded(*batch, out.data());
    RunAndReplay([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
    ExpectClose(Activations(out), reference::Attention(batch->args), Close());
  }
}

TEST_P(GpuAttentionTest, RowsBehindAPromptAreZero) {
  const auto batch = MakeBatch({8, 1, 64, 16}, {{21, 40}});
  const size_t row = size_t{8} * 64;
  GuardedBytes out = ActivationOutput(row * 30);
  AttentionArgs args = Uploaded(*batch, out.data());
  std::vector<float> q = batch->q;
  q.resize(row * 30, 1.0f);
  args.q = UploadActivations(q);
  args.num_rows = 30;
  RunAndReplay([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
  std::vector<double> expected = reference::Attention(batch->args);
  expected.resize(row * 30, 0.0);
  ExpectClose(Activations(out), expected, Close());
}

// Later rows of a prompt are not seen by earlier ones, whatever they hold.
TEST_P(GpuAttentionTest, NotANumberStaysBehindItsPosition) {
  const auto batch = MakeBatch({8, 1, 128, 16}, {{40, 40}});
  const auto fill = [&](float value) {
    const auto block = static_cast<size_t>(batch->block_tables[21 / 16]);
    for (size_t i = 0; i < 128; ++i) {
      const size_t at = reference::KvIndex(batch->args.kv, block * 16 + 21 % 16, 0, i);
      batch->k[at] = value;
      batch->v[at] = value;
    }
  };
  fill(1.0f);
  GuardedBytes out = ActivationOutput(batch->q.size());
  kernels_->Attention(Uploaded(*batch, out.data()), *stream_);
  const std::vector<float> clean = Activations(out);
  fill(NAN);
  out.Poison();
  kernels_->Attention(Uploaded(*batch, out.data()), *stream_);
  const std::vector<float> actual = Activations(out);
  EXPECT_EQ(std::memcmp(actual.data(), clean.data(), size_t{21} * 8 * 128 * sizeof(float)), 0);
  for (size_t i = size_t{21} * 8 * 128; i < actual.size(); ++i) {
    ASSERT_TRUE(std::isnan(actual[i])) << i;
  }
}

TEST_P(GpuAttentionTest, PaddingRowsAreZero) {
  // Sequence 0 has three rows and one token: two rows stand before position 0. Row 3 is nobody's.
  const auto batch = MakeBatch({2, 1, 24, 16}, {{3, 3}});
  batch->context_lens = {1};
  batch->args.context_lens = batch->context_lens.data();
  GuardedBytes out = ActivationOutput(batch->q.size() / 3 * 4);
  AttentionArgs args = Uploaded(*batch, out.data());
  std::vector<float> q = batch->q;
  q.resize(q.size() / 3 * 4, 1.0f);
  args.q = UploadActivations(q);
  args.num_rows = 4;
  kernels_->Attention(args, *stream_);
  std::vector<double> expected = reference::Attention(batch->args);
  expected.resize(expected.size() / 3 * 4, 0.0);
  ExpectClose(Activations(out), expected, Close());
}

// The width of the table bounds how many blocks a row may need: 1, 2, 4 or 8 of 256 keys each.
TEST_P(GpuAttentionTest, BitsOfARowDoNotDependOnTheWidthOfTheBlockTable) {
  for (const uint32_t head_dim : {48u, 64u, 128u, 256u}) {
    const auto batch = MakeBatch({6, 2, head_dim, 16}, {{1, 2100}});
    GuardedBytes out = ActivationOutput(batch->q.size());
    AttentionArgs args = Uploaded(*batch, out.data());
    for (const int32_t context : {1, 255, 256, 257, 512, 513, 1024, 1025}) {
      args.context_lens = Upload(std::vector<int32_t>{context});
      args.max_blocks = batch->args.max_blocks;
      out.Poison();
      kernels_->Attention(args, *stream_);
      const std::vector<std::byte> wide = out.Download();
      args.max_blocks = static_cast<uint32_t>(context + 15) / 16;
      RunAndReplay([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
      EXPECT_TRUE(out.Download() == wide) << "heads of " << head_dim << ", " << context << " keys";
    }
  }
}

// A prompt cut into chunks, and each row alone beside others: the same bits.
TEST_P(GpuAttentionTest, BitsOfARowDoNotDependOnTheChunks) {
  for (const auto& [shape, prompt] :
       {std::pair{Shape{6, 2, 48, 16}, 400}, std::pair{Shape{6, 2, 64, 16}, 400},
        std::pair{Shape{6, 2, 128, 16}, 2190}}) {
    const auto batch = MakeBatch(shape, {{prompt, prompt}});
    GuardedBytes out = ActivationOutput(batch->q.size());
    const AttentionArgs args = Uploaded(*batch, out.data());
    kernels_->Attention(args, *stream_);
    const std::vector<std::byte> whole = out.Download();
    const size_t row_bytes = size_t{6} * shape.head_dim * activation_bytes();
    for (const int32_t chunk : {1, 7, 13, 64}) {
      for (int32_t begin = prompt - 130; begin < prompt; begin += chunk) {
        const int32_t end = std::min(begin + chunk, prompt);
        AttentionArgs part = args;
        part.q = static_cast<const std::byte*>(args.q) + static_cast<size_t>(begin) * row_bytes;
        part.query_starts = Upload(std::vector<int32_t>{0, end - begin});
        part.context_lens = Upload(std::vector<int32_t>{end});
        part.num_rows = static_cast<uint32_t>(end - begin);
        out.Poison();
        kernels_->Attention(part, *stream_);
        const std::vector<std::byte> bytes = out.Download();
        ASSERT_EQ(std::memcmp(bytes.data(), &whole[static_cast<size_t>(begin) * row_bytes],
                              static_cast<size_t>(end - begin) * row_bytes),
                  0)
            << "chunk of " << chunk << " at " << begin;
      }
    }
  }
}

}  // namespace
}  // namespace spearfish::kernels
