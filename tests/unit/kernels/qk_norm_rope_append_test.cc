#include "tests/reference/qk_norm_rope_append.h"

#include <algorithm>
#include <cmath>
#include <iterator>

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

  KvPaging kv() const { return {paging, num_kv_heads, block_tokens, head_dim}; }
};
constexpr Shape kShapes[] = {{1, 1, 2, 1}, {4, 2, 32, 16}, {3, 1, 66, 7}, {8, 2, 128, 16}};
constexpr uint32_t kNumBlocks = 40;

// One call's inputs and outputs. Positions reach 32768, slots are scattered, some are negative.
class Case {
 public:
  Case(const Shape& shape, uint32_t num_rows, std::vector<float> qkv, std::mt19937& random)
      : qkv_(std::move(qkv)), norm_q_(shape.head_dim), norm_k_(shape.head_dim) {
    std::uniform_real_distribution<float> around_one(0.5f, 1.5f);
    for (float& w : norm_q_) w = around_one(random);
    for (float& w : norm_k_) w = around_one(random);
    for (uint32_t i = 0; i < shape.head_dim / 2; ++i) {
      inv_freq_.push_back(
          std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(shape.head_dim)));
    }
    std::vector<int64_t> free_slots;
    for (uint32_t b = 0; b < kNumBlocks; ++b) {
      for (uint32_t offset = 0; offset < shape.block_tokens; ++offset) {
        free_slots.push_back(int64_t{shape.kv().id(b)} * shape.block_tokens + offset);
      }
    }
    std::shuffle(free_slots.begin(), free_slots.end(), random);
    for (uint32_t t = 0; t < num_rows; ++t) {
      positions_.push_back(static_cast<int32_t>(random() % 32769));
      slots_.push_back(t % 5 == 3 ? -1 : free_slots[t]);
    }
  }

  QkNormRopeAppendArgs Args(const Shape& shape, float* q_out, float* k, float* v) const {
    return {.qkv = qkv_.data(),
            .q_norm = norm_q_.data(),
            .k_norm = norm_k_.data(),
            .eps = 1e-6f,
            .positions = positions_.data(),
            .inv_freq = inv_freq_.data(),
            .slots = slots_.data(),
            .q_out = q_out,
            .kv = shape.kv().Layer(k, v, kNumBlocks),
            .num_rows = static_cast<uint32_t>(positions_.size()),
            .num_heads = shape.num_heads};
  }
  const std::vector<int64_t>& slots() const { return slots_; }

 private:
  std::vector<float> qkv_;
  std::vector<float> norm_q_;
  std::vector<float> norm_k_;
  std::vector<float> inv_freq_;
  std::vector<int32_t> positions_;
  std::vector<int64_t> slots_;
};

class QkNormRopeAppendTest : public KernelTest {
 protected:
  Case MakeCase(const Shape& shape, uint32_t num_rows) {
    const size_t width = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim;
    return {shape, num_rows, RandomFloats(num_rows * width), random_};
  }
};
INSTANTIATE_TEST_SUITE_P(Cpu, QkNormRopeAppendTest, ::testing::ValuesIn(AllKernelParams()),
                         ParamName);

// The rows of the cache that were written must be close; every other element must be untouched.
void ExpectCache(const KvLayer& kv, const std::vector<int64_t>& slots, std::span<const float> plane,
                 const std::vector<double>& expected) {
  std::vector<bool> written(plane.size(), false);
  std::vector<float> actual;
  std::vector<double> wanted;
  for (size_t t = 0; t < slots.size(); ++t) {
    if (slots[t] < 0) continue;
    for (size_t h = 0; h < kv.num_kv_heads; ++h) {
      for (size_t i = 0; i < kv.head_dim; ++i) {
        const size_t at = reference::KvIndex(kv, static_cast<size_t>(slots[t]), h, i);
        written[at] = true;
        actual.push_back(plane[at]);
        wanted.push_back(expected[(t * kv.num_kv_heads + h) * kv.head_dim + i]);
      }
    }
  }
  ExpectClose(actual, wanted, reference::kRopeTolerance);
  for (size_t i = 0; i < plane.size(); ++i) {
    if (!written[i]) {
      ASSERT_TRUE(std::isnan(plane[i])) << "element " << i << " was written";
    }
  }
}

TEST_P(QkNormRopeAppendTest, MatchesOracleAndWritesOnlyItsSlots) {
  for (Shape shape : kShapes) {
    for (const uint32_t num_rows : {1u, 5u, 33u}) {
      // 0, 1 and 2: every shape meets every paging.
      shape.paging = kPagings[num_rows % std::size(kPagings)];
      const Case test = MakeCase(shape, num_rows);
      const size_t plane = shape.kv().plane_floats(kNumBlocks);
      GuardedArray<float> q(*device_, size_t{num_rows} * shape.num_heads * shape.head_dim);
      GuardedArray<float> k(*device_, plane);
      GuardedArray<float> v(*device_, plane);
      const QkNormRopeAppendArgs args = test.Args(shape, q.data(), k.data(), v.data());
      RunAndReplay<float>([&](Stream& stream) { kernels_->QkNormRopeAppend(args, stream); },
                          {&q, &k, &v});
      const auto expected = reference::QkNormRopeAppend(args);
      ExpectClose(q.values(), expected.q, reference::kRopeTolerance);
      ExpectCache(args.kv, test.slots(), k.values(), expected.k);
      ExpectCache(args.kv, test.slots(), v.values(), expected.v);
    }
  }
}

TEST_P(QkNormRopeAppendTest, NormsAreOptional) {
  const Shape shape{4, 2, 32, 16};
  const Case test = MakeCase(shape, 6);
  const size_t plane = shape.kv().plane_floats(kNumBlocks);
  GuardedArray<float> q(*device_, size_t{6} * 4 * 32);
  GuardedArray<float> k(*device_, plane);
  GuardedArray<float> v(*device_, plane);
  QkNormRopeAppendArgs args = test.Args(shape, q.data(), k.data(), v.data());
  args.q_norm = nullptr;
  args.k_norm = nullptr;
  kernels_->QkNormRopeAppend(args, *stream_);
  stream_->Synchronize();
  const auto expected = reference::QkNormRopeAppend(args);
  ExpectClose(q.values(), expected.q, reference::kRopeTolerance);
  ExpectCache(args.kv, test.slots(), k.values(), expected.k);
}

TEST_P(QkNormRopeAppendTest, BitsOfARowDoNotDependOnTheBatch) {
  const Shape shape{8, 2, 128, 16};
  constexpr uint32_t kRows = 70;
  const Case test = MakeCase(shape, kRows);
  const size_t plane = shape.kv().plane_floats(kNumBlocks);
  const size_t q_width = size_t{8} * 128;
  GuardedArray<float> q(*device_, kRows * q_width);
  GuardedArray<float> k(*device_, plane);
  GuardedArray<float> v(*device_, plane);
  QkNormRopeAppendArgs args = test.Args(shape, q.data(), k.data(), v.data());
  kernels_->QkNormRopeAppend(args, *stream_);
  stream_->Synchronize();
  const std::vector<float> together = q.Copy();
  const std::vector<float> keys_together = k.Copy();
  q.Poison();
  k.Poison();
  constexpr uint32_t kPiece = 4;  // keeps positions and slots 16-byte aligned
  for (uint32_t row = 0; row < kRows; row += kPiece) {
    args.num_rows = std::min(kPiece, kRows - row);
    kernels_->QkNormRopeAppend(args, *stream_);
    args.qkv = static_cast<const float*>(args.qkv) + kPiece * (8 + 2 * 2) * 128;
    args.q_out = static_cast<float*>(args.q_out) + kPiece * q_width;
    args.positions += kPiece;
    args.slots += kPiece;
  }
  stream_->Synchronize();
  EXPECT_EQ(q.Copy(), together);
  EXPECT_TRUE(SameBits(k.values(), keys_together));
}

}  // namespace
}  // namespace spearfish::kernels
