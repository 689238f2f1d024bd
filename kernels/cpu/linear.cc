#include "kernels/cpu/linear.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After foreach_target.h, which includes this file again for each target.
#include "kernels/cpu/simd-inl.h"

#ifndef KERNELS_CPU_LINEAR_CC_ONCE_
#define KERNELS_CPU_LINEAR_CC_ONCE_
namespace spearfish::kernels {

// What makes an output of a sum, from some output on.
struct OutputTerms {
  const float* scales;  // null: as 1
  const float* bias;    // null: as 0

  static OutputTerms From(const LinearArgs& args, uint32_t n) {
    return {.scales = args.weight.dtype == DType::kI8 ? args.weight.scales + n : nullptr,
            .bias = args.bias == nullptr ? nullptr : args.bias + n};
  }
  // Fused, so that no compiler does so in some of the callers only.
  float Apply(uint32_t n, float sum) const {
    if (scales != nullptr) return std::fma(sum, scales[n], bias == nullptr ? 0.0f : bias[n]);
    return bias == nullptr ? sum : sum + bias[n];
  }
};

// Outputs begin .. end for all rows.
struct LinearRange {
  const LinearArgs* args;
  uint32_t begin;
  uint32_t end;
};

}  // namespace spearfish::kernels
#endif  // KERNELS_CPU_LINEAR_CC_ONCE_

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels::HWY_NAMESPACE {

using DLinear = hn::ScalableTag<float>;
using VLinear = hn::Vec<DLinear>;

// Rows and outputs whose sums are in registers together.
inline constexpr uint32_t kBlockRows = 4;
inline constexpr uint32_t kBlockOutputs = hn::MaxLanes(DLinear()) >= 16 ? 4 : 2;

HWY_INLINE VLinear LoadWeights(DLinear d, const float* w) { return hn::LoadU(d, w); }

// bfloat16 is the upper half of a float.
HWY_INLINE VLinear LoadWeights(DLinear d, const uint16_t* w) {
  const hn::Rebind<uint16_t, DLinear> d16;
  const hn::Rebind<uint32_t, DLinear> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, w))));
}

HWY_INLINE VLinear LoadWeights(DLinear d, const int8_t* w) {
  const hn::Rebind<int8_t, DLinear> d8;
  const hn::Rebind<int32_t, DLinear> d32;
  return hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, w)));
}

// The last, partly filled vector of a row, zeros behind it.
template <typename T>
HWY_INLINE VLinear LoadTail(DLinear d, const T* from, uint32_t count) {
  T padded[hn::MaxLanes(DLinear())] = {};
  std::copy_n(from, count, padded);
  return LoadWeights(d, padded);
}

// kRows x kOutputs dot products of length k. Whatever the block's shape, lane i of a sum takes the
// inputs i, i + lanes, ... in order, then the lanes are added: a row's bits never depend on the
// block it is in.
template <uint32_t kRows, uint32_t kOutputs, typename T>
HWY_INLINE void MultiplyBlock(const float* HWY_RESTRICT x, const T* HWY_RESTRICT w, uint32_t k,
                              const OutputTerms& terms, float* HWY_RESTRICT out,
                              uint64_t out_stride) {
  const DLinear d;
  constexpr uint32_t kLanes = hn::MaxLanes(DLinear());
  VLinear sums[kRows][kOutputs];
#pragma GCC unroll 8
  for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (uint32_t n = 0; n < kOutputs; ++n) sums[r][n] = hn::Zero(d);
  }
  const uint32_t whole = k / kLanes * kLanes;
  for (uint32_t i = 0; i < whole; i += kLanes) {
    VLinear weights[kOutputs];
#pragma GCC unroll 8
    for (uint32_t n = 0; n < kOutputs; ++n) weights[n] = LoadWeights(d, w + uint64_t{n} * k + i);
#pragma GCC unroll 8
    for (uint32_t r = 0; r < kRows; ++r) {
      const VLinear inputs = hn::LoadU(d, x + uint64_t{r} * k + i);
#pragma GCC unroll 8
      for (uint32_t n = 0; n < kOutputs; ++n) {
        sums[r][n] = hn::MulAdd(inputs, weights[n], sums[r][n]);
      }
    }
  }
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t n = 0; n < kOutputs; ++n) {
      VLinear sum = sums[r][n];
      if (whole < k) {
        const VLinear inputs = LoadTail(d, x + uint64_t{r} * k + whole, k - whole);
        sum = hn::MulAdd(inputs, LoadTail(d, w + uint64_t{n} * k + whole, k - whole), sum);
      }
      out[r * out_stride + n] = terms.Apply(n, hn::GetLane(hn::SumOfLanes(d, sum)));
    }
  }
}

template <uint32_t kRows, typename T>
void MultiplyRows(const LinearRange& range, const T* weights, uint32_t row) {
  const LinearArgs& args = *range.args;
  const uint32_t k = args.weight.cols;
  const uint64_t stride = args.weight.rows;
  const float* x = static_cast<const float*>(args.x) + uint64_t{row} * k;
  float* out = static_cast<float*>(args.out) + row * stride;
  uint32_t n = range.begin;
  for (; n + kBlockOutputs <= range.end; n += kBlockOutputs) {
    MultiplyBlock<kRows, kBlockOutputs>(x, weights + uint64_t{n} * k, k, OutputTerms::From(args, n),
                                        out + n, stride);
  }
  for (; n < range.end; ++n) {
    MultiplyBlock<kRows, 1>(x, weights + uint64_t{n} * k, k, OutputTerms::From(args, n), out + n,
                            stride);
  }
}

template <typename T>
void MultiplyAllRows(const LinearRange& range) {
  const auto* weights = static_cast<const T*>(range.args->weight.data);
  const uint32_t num_rows = range.args->num_rows;
  uint32_t row = 0;
  for (; row + kBlockRows <= num_rows; row += kBlockRows) {
    MultiplyRows<kBlockRows>(range, weights, row);
  }
  switch (num_rows - row) {
    case 3:
      MultiplyRows<3>(range, weights, row);
      break;
    case 2:
      MultiplyRows<2>(range, weights, row);
      break;
    case 1:
      MultiplyRows<1>(range, weights, row);
      break;
    default:
      break;
  }
}

void MultiplyRange(const LinearRange& range) {
  switch (range.args->weight.dtype) {
    case DType::kF32:
      return MultiplyAllRows<float>(range);
    case DType::kI8:
      return MultiplyAllRows<int8_t>(range);
    default:
      return MultiplyAllRows<uint16_t>(range);  // BF16
  }
}

}  // namespace spearfish::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {
namespace {

HWY_EXPORT(MultiplyRange);

// Outputs of one work item: few enough that threads finish together, and that the weights of an
// item stay in the second-level cache while all rows pass over them.
constexpr uint32_t kItemsPerThread = 8;
constexpr uint32_t kOutputStep = 4;
constexpr uint64_t kMaxItemBytes = uint64_t{512} << 10;

uint32_t OutputsPerItem(const Matrix& weight, uint32_t num_threads) {
  const uint64_t row_bytes = uint64_t{weight.cols} * DTypeBytes(weight.dtype);
  const uint64_t share = weight.rows / (num_threads * kItemsPerThread);
  const uint64_t outputs =
      std::min<uint64_t>(share, kMaxItemBytes / std::max<uint64_t>(row_bytes, 1));
  return static_cast<uint32_t>(std::max<uint64_t>(outputs / kOutputStep, 1) * kOutputStep);
}

}  // namespace

void LinearCpu(const LinearArgs& args, ThreadPool& pool) {
  SF_CHECK(args.weight.dtype == DType::kF32 || args.weight.dtype == DType::kBF16 ||
           args.weight.dtype == DType::kI8);
  SF_CHECK(args.out_dtype == DType::kF32);
  if (args.num_rows == 0 || args.weight.rows == 0) return;
  const uint32_t step = OutputsPerItem(args.weight, pool.num_threads());
  const uint32_t num_items = (args.weight.rows - 1) / step + 1;
  pool.ParallelFor(num_items, [&args, step](uint32_t item, uint32_t) {
    const uint32_t begin = item * step;
    const LinearRange range = {
        .args = &args, .begin = begin, .end = std::min(begin + step, args.weight.rows)};
    HWY_DYNAMIC_DISPATCH(MultiplyRange)(range);
  });
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
