#include "tests/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/reference/qk_norm_rope_append.h"
#include "tests/reference/tolerances.h"
#include "tests/unit/kernels/kernel_fixture.h"
#include "tests/unit/kernels/kv_paging.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t num_heads;
  uint32_t num_kv_heads;
  uint32_t head_dim;
  uint32_t block_tokens;
  Paging paging = Paging::kPacked;
};

struct Piece {
  int32_t num_queries;
  int32_t context_len;
};

// Sequences whose cache is filled with random keys and values in shuffled blocks. Everything that
// no sequence owns is NaN, so that reading it shows.
class Batch {
 public:
  Batch(const Shape& shape, const std::vector<Piece>& pieces, std::mt19937& random)
      : shape_(shape),
        paging_(shape.paging, shape.num_kv_heads, shape.block_tokens, shape.head_dim),
        random_(random) {
    query_starts_.push_back(0);
    for (const Piece& piece : pieces) {
      query_starts_.push_back(query_starts_.back() + piece.num_queries);
      context_lens_.push_back(piece.context_len);
      const uint32_t blocks = Blocks(piece.context_len);
      max_blocks_ = std::max(max_blocks_, blocks);
      num_blocks_ += blocks;
    }
    FillTables();
    q_ = Normal(static_cast<size_t>(query_starts_.back()) * shape.num_heads * shape.head_dim);
  }

  AttentionArgs Args(float* out) const {
    return {.q = q_.data(),
            .kv = paging_.Layer(const_cast<float*>(k_.data()), const_cast<float*>(v_.data()),
                                num_blocks_),
            .query_starts = query_starts_.data(),
            .context_lens = context_lens_.data(),
            .block_tables = block_tables_.data(),
            .out = out,
            .scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)),
            .num_rows = static_cast<uint32_t>(query_starts_.back()),
            .num_seqs = static_cast<uint32_t>(context_lens_.size()),
            .max_blocks = max_blocks_,
            .num_heads = shape_.num_heads};
  }
  size_t out_size() const { return q_.size(); }

 private:
  uint32_t Blocks(int32_t tokens) const {
    return (static_cast<uint32_t>(tokens) + shape_.block_tokens - 1) / shape_.block_tokens;
  }

  std::vector<float> Normal(size_t count) {
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> values(count);
    for (float& value : values) value = normal(random_);
    return values;
  }

  void FillTables() {
    k_.assign(paging_.plane_floats(num_blocks_), NAN);
    v_.assign(paging_.plane_floats(num_blocks_), NAN);
    std::vector<int32_t> blocks;
    for (uint32_t b = 0; b < num_blocks_; ++b) {
      blocks.push_back(static_cast<int32_t>(paging_.id(b)));
    }
    std::shuffle(blocks.begin(), blocks.end(), random_);
    block_tables_.assign(context_lens_.size() * max_blocks_, -1);
    const KvLayer kv = paging_.Layer(k_.data(), v_.data(), num_blocks_);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    for (size_t s = 0; s < context_lens_.size(); ++s) {
      for (uint32_t b = 0; b < Blocks(context_lens_[s]); ++b) {
        block_tables_[s * max_blocks_ + b] = blocks.back();
        blocks.pop_back();
      }
      for (uint32_t p = 0; p < static_cast<uint32_t>(context_lens_[s]); ++p) {
        const auto block =
            static_cast<size_t>(block_tables_[s * max_blocks_ + p / shape_.block_tokens]);
        const size_t slot = block * shape_.block_tokens + p % shape_.block_tokens;
        for (size_t h = 0; h < shape_.num_kv_heads; ++h) {
          for (size_t i = 0; i < shape_.head_dim; ++i) {
            k_[reference::KvIndex(kv, slot, h, i)] = normal(random_);
            v_[reference::KvIndex(kv, slot, h, i)] = normal(random_);
          }
        }
      }
    }
  }

  const Shape shape_;
  const KvPaging paging_;
  std::mt19937& random_;
  std::vector<float> q_;
  std::vector<float> k_;
  std::vector<float> v_;
  std::vector<int32_t> query_starts_;
  std::vector<int32_t> context_lens_;
  std::vector<int32_t> block_tables_;
  uint32_t max_blocks_ = 1;
  uint32_t num_blocks_ = 1;
};

class AttentionTest : public KernelTest {
 protected:
  std::vector<float> Run(const AttentionArgs& args) {
    std::vector<float> out(size_t{args.num_rows} * args.num_heads * args.kv.head_dim);
    AttentionArgs into = args;
    into.out = out.data();
    kernels_->Attention(into, *stream_);
    stream_->Synchronize();
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Cpu, AttentionTest, ::testing::ValuesIn(AllKernelParams()), ParamName);

TEST_P(AttentionTest, MatchesOracle) {
  const Shape shapes[] = {{1, 1, 2, 1, Paging::kUnits},
                          {4, 4, 32, 16, Paging::kPacked},
                          {6, 2, 40, 5, Paging::kApart},
                          {10, 2, 64, 8, Paging::kUnits},
                          {8, 1, 128, 16},
                          {7, 1, 20, 3, Paging::kUnits}};
  // Decode, whole prompts, a chunk inside a prompt, lengths around the chunk of 64 keys.
  const std::vector<Piece> pieces = {{1, 1},   {1, 130}, {7, 7},  {9, 63},
                                     {20, 64}, {3, 65},  {1, 200}};
  for (const Shape& shape : shapes) {
    const Batch batch(shape, pieces, random_);
    GuardedArray<float> out(*device_, batch.out_size());
    const AttentionArgs args = batch.Args(out.data());
    RunAndReplay<float>([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
    ExpectClose(out.values(), reference::Attention(args), reference::kAttentionTolerance);
  }
}

TEST_P(AttentionTest, MatchesOracleOverManySpans) {
  const Shape shape{4, 2, 16, 16};
  const Batch batch(shape, {{1, 2000}, {3, 513}, {1, 512}, {2, 1026}}, random_);
  GuardedArray<float> out(*device_, batch.out_size());
  const AttentionArgs args = batch.Args(out.data());
  RunAndReplay<float>([&](Stream& stream) { kernels_->Attention(args, stream); }, {&out});
  ExpectClose(out.values(), reference::Attention(args), reference::kAttentionTolerance);
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  const Batch batch({2, 1, 32, 16}, {{4, 100}}, random_);
  GuardedArray<float> out(*device_, batch.out_size());
  AttentionArgs args = batch.Args(out.data());
  args.scale = 40.0f;  // scores of some hundreds: one key takes almost all the weight
  kernels_->Attention(args, *stream_);
  stream_->Synchronize();
  // Scores of 1000 carry a rounding error of 6e-5, which is the relative error of a weight.
  ExpectClose(out.values(), reference::Attention(args), 1e-3);
}

TEST_P(AttentionTest, PaddingRowsThatSeeNoKeyAreZero) {
  const Batch batch({2, 1, 24, 16}, {{3, 3}}, random_);
  const int32_t no_context[] = {1};
  AttentionArgs args = batch.Args(nullptr);
  args.context_lens = no_context;  // rows stand at -2, -1, 0
  const std::vector<float> out = Run(args);
  EXPECT_TRUE(std::all_of(out.begin(), out.begin() + 2 * 2 * 24, [](float x) { return x == 0; }));
  std::vector<double> expected = reference::Attention(args);
  ExpectClose(out, expected, reference::kAttentionTolerance);
}

// A prompt cut into chunks of 1, 7 or 64 rows, alone or beside other sequences, with any number of
// threads, in KV blocks of any size: the same bits.
TEST_P(AttentionTest, BitsOfARowDoNotDependOnTheChunks) {
  constexpr int32_t kPrompt = 700;
  const Shape shape{6, 2, 48, 16};
  const Batch whole(shape, {{kPrompt, kPrompt}}, random_);
  AttentionArgs args = whole.Args(nullptr);
  const std::vector<float> expected = Run(args);
  const size_t row_floats = size_t{6} * 48;
  for (const int32_t chunk : {1, 7, 64}) {
    for (int32_t begin = kPrompt - 150; begin < kPrompt; begin += chunk) {
      const int32_t end = std::min(begin + chunk, kPrompt);
      const int32_t starts[] = {0, end - begin};
      const int32_t lens[] = {end};
      AttentionArgs part = args;
      part.q = static_cast<const float*>(args.q) + static_cast<size_t>(begin) * row_floats;
      part.query_starts = starts;
      part.context_lens = lens;
      part.num_rows = static_cast<uint32_t>(end - begin);
      const std::vector<float> out = Run(part);
      ASSERT_TRUE(SameBits(
          out, std::span(expected).subspan(static_cast<size_t>(begin) * row_floats, out.size())))
          << "chunk of " << chunk << " at " << begin;
    }
  }
}

TEST_P(AttentionTest, BitsDoNotDependOnThreadsOrNeighbours) {
  const Shape shape{4, 2, 32, 8};
  const Batch batch(shape, {{1, 1500}, {30, 30}, {1, 777}}, random_);
  const AttentionArgs args = batch.Args(nullptr);
  const std::vector<float> expected = Run(args);
  for (const uint32_t num_threads : {1u, 2u, 3u, 8u}) {
    kernels_ = MakeKernels(num_threads);
    EXPECT_EQ(Run(args), expected) << num_threads << " threads";
  }
  // The last sequence alone.
  AttentionArgs alone = args;
  const int32_t starts[] = {0, 1};
  const int32_t lens[] = {777};
  const std::vector<int32_t> table(args.block_tables + 2 * args.max_blocks,
                                   args.block_tables + 3 * args.max_blocks);
  alone.q = static_cast<const float*>(args.q) + size_t{31} * 4 * 32;
  alone.query_starts = starts;
  alone.context_lens = lens;
  alone.block_tables = table.data();
  alone.num_rows = 1;
  alone.num_seqs = 1;
  const std::vector<float> out = Run(alone);
  EXPECT_TRUE(SameBits(out, std::span(expected).subspan(size_t{31} * 4 * 32, out.size())));
}

TEST_P(AttentionTest, BitsDoNotDependOnThePaging) {
  std::vector<std::vector<float>> outs;
  const std::pair<uint32_t, Paging> pagings[] = {
      {1, Paging::kPacked}, {5, Paging::kApart},     {16, Paging::kPacked}, {16, Paging::kApart},
      {16, Paging::kUnits}, {1000, Paging::kPacked}, {64, Paging::kUnits}};
  for (const auto& [block_tokens, paging] : pagings) {
    // The same random values in another paging: one sequence draws them in order of position.
    std::mt19937 random(99);
    const Shape shape{2, 1, 32, block_tokens, paging};
    std::mt19937 values(7);
    Batch batch(shape, {{5, 600}}, random);
    const AttentionArgs args = batch.Args(nullptr);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    for (uint32_t p = 0; p < 600; ++p) {
      const auto block = static_cast<size_t>(args.block_tables[p / block_tokens]);
      const size_t slot = block * block_tokens + p % block_tokens;
      for (size_t i = 0; i < 32; ++i) {
        static_cast<float*>(args.kv.k)[reference::KvIndex(args.kv, slot, 0, i)] = normal(values);
        static_cast<float*>(args.kv.v)[reference::KvIndex(args.kv, slot, 0, i)] = normal(values);
      }
    }
    for (size_t i = 0; i < batch.out_size(); ++i) {
      const_cast<float*>(static_cast<const float*>(args.q))[i] = normal(values);
    }
    outs.push_back(Run(args));
  }
  for (const std::vector<float>& out : outs) EXPECT_EQ(out, outs.front());
}

}  // namespace
}  // namespace spearfish::kernels
