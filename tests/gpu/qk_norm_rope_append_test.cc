#include "tests/reference/qk_norm_rope_append.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "tests/gpu/gpu_fixture.h"
#include "tests/gpu/gpu_tolerances.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t num_heads;
  uint32_t num_kv_heads;
  uint32_t head_dim;
  uint32_t block_tokens;
};
constexpr Shape kShapes[] = {
    {1, 1, 2, 1}, {4, 2, 32, 16}, {3, 1, 66, 7}, {8, 2, 128, 16}, {2, 1, 512, 4}};
constexpr uint32_t kNumBlocks = 40;

class GpuQkNormRopeAppendTest : public GpuKernelTest {
 protected:
  // A block's keys, and a rest of 48 bytes behind that nothing may touch.
  uint64_t BlockStride(const Shape& shape) const {
    const uint64_t bytes =
        uint64_t{shape.num_kv_heads} * shape.block_tokens * shape.head_dim * activation_bytes();
    return (bytes + 15) / 16 * 16 + 48;
  }

  // The written places of a plane must be close, every other element untouched (NaN).
  void ExpectPlane(const Shape& shape, const std::vector<int64_t>& slots, const GuardedBytes& plane,
                   const std::vector<double>& expected, Tolerance tolerance) const {
    const std::vector<float> values = Activations(plane);
    std::vector<bool> written(values.size(), false);
    std::vector<float> actual;
    std::vector<double> wanted;
    const size_t stride = BlockStride(shape) / activation_bytes();
    for (size_t t = 0; t < slots.size(); ++t) {
      if (slots[t] < 0) continue;
      const size_t block = static_cast<size_t>(slots[t]) / shape.block_tokens;
      const size_t offset = static_cast<size_t>(slots[t]) % shape.block_tokens;
      for (size_t h = 0; h < shape.num_kv_heads; ++h) {
        for (size_t i = 0; i < shape.head_dim; ++i) {
          const size_t at = block * stride + (h * shape.block_tokens + offset) * shape.head_dim + i;
          written[at] = true;
          actual.push_back(values[at]);
          wanted.push_back(expected[(t * shape.num_kv_heads + h) * shape.head_dim + i]);
        }
      }
    }
    ExpectClose(actual, wanted, tolerance);
    for (size_t i = 0; i < values.size(); ++i) {
      if (written[i]) continue;
      ASSERT_TRUE(std::isnan(values[i])) << "element " << i << " was written";
    }
  }
};
SF_GPU_SUITE(GpuQkNormRopeAppendTest);

TEST_P(GpuQkNormRopeAppendTest, MatchesOracleAndWritesOnlyItsSlots) {
  for (const Shape& shape : kShapes) {
    for (const uint32_t num_rows : {1u, 5u, 33u}) {
      for (const bool with_norms : {true, false}) {
        const size_t width = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim;
        std::vector<float> qkv = RandomFloats(num_rows * width);
        const std::vector<float> q_norm = RandomFloats(shape.head_dim);
        const std::vector<float> k_norm = RandomFloats(shape.head_dim);
        std::vector<float> inv_freq;
        for (uint32_t i = 0; i < shape.head_dim / 2; ++i) {
          inv_freq.push_back(std::pow(
              10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(shape.head_dim)));
        }
        std::vector<int64_t> free_slots(kNumBlocks * shape.block_tokens);
        for (size_t i = 0; i < free_slots.size(); ++i) free_slots[i] = static_cast<int64_t>(i);
        std::shuffle(free_slots.begin(), free_slots.end(), random_);
        std::vector<int32_t> positions;
        std::vector<int64_t> slots;
        for (uint32_t t = 0; t < num_rows; ++t) {
          positions.push_back(RandomInt(32769));
          slots.push_back(t % 5 == 3 ? -1 : free_slots[t]);
        }
        GuardedBytes q = ActivationOutput(size_t{num_rows} * shape.num_heads * shape.head_dim);
        GuardedBytes k = Output(kNumBlocks * BlockStride(shape));
        GuardedBytes v = Output(kNumBlocks * BlockStride(shape));
        QkNormRopeAppendArgs args{.qkv = UploadActivations(qkv),
                                  .q_norm = with_norms ? Upload(q_norm) : nullptr,
                                  .k_norm = with_norms ? Upload(k_norm) : nullptr,
                                  .eps = 1e-6f,
                                  .positions = Upload(positions),
                                  .inv_freq = Upload(inv_freq),
                                  .slots = Upload(slots),
                                  .q_out = q.data(),
                                  .kv = {k.data(), v.data(), kNumBlocks, shape.block_tokens,
                                         shape.num_kv_heads, shape.head_dim, BlockStride(shape)},
                                  .num_rows = num_rows,
                                  .num_heads = shape.num_heads};
        RunAndReplay([&](Stream& stream) { kernels_->QkNormRopeAppend(args, stream); },
                     {&q, &k, &v});
        args.qkv = qkv.data();
        args.q_norm = with_norms ? q_norm.data() : nullptr;
        args.k_norm = with_norms ? k_norm.data() : nullptr;
        args.positions = positions.data();
        args.inv_freq = inv_freq.data();
        args.slots = slots.data();
        const auto expected = reference::QkNormRopeAppend(args);
        const double tolerance = reference::kRopeTolerance;
        // Values reach 15 times the norm's weights: errors of sums follow their terms.
        const Tolerance close{4 * tolerance, is_bf16() ? kBf16Output : tolerance};
        ExpectClose(Activations(q), expected.q, close);
        ExpectPlane(shape, slots, k, expected.k, close);
        ExpectPlane(shape, slots, v, expected.v, {});
      }
    }
  }
}

}  // namespace
}  // namespace spearfish::kernels
