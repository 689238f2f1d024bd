// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/router_topk.cc"
#include "hwy/foreach_target.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/router_topk.h"
#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/row_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

// x = softmax(x), in place.
void SoftmaxRow(float* x, size_t n) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  float max = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) max = std::max(max, x[i]);
  FloatVec sums = hn::Zero(d);
  for (size_t i = 0; i < n; i += lanes) {
    const size_t count = n - i;
    const FloatVec exp = hn::Exp(d, hn::Sub(LoadUpTo(x + i, count), hn::Set(d, max)));
    StoreUpTo(exp, x + i, count);
    sums = hn::Add(sums, LoadUpTo(x + i, count));  // reloaded: zeroes the lanes past the end
  }
  const FloatVec total = hn::Set(d, Sum(sums));
  for (size_t i = 0; i < n; i += lanes) {
    StoreUpTo(hn::Div(LoadUpTo(x + i, n - i), total), x + i, n - i);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {
namespace {

HWY_EXPORT(SoftmaxRow);

// Inserts into a descending list of `count` entries, after equal ones: experts come in ascending
// order, so the lower id stays first.
void Insert(int32_t expert, float p, uint32_t count, int32_t* ids, float* weights) {
  uint32_t at = count;
  for (; at > 0 && weights[at - 1] < p; --at) {
    ids[at] = ids[at - 1];
    weights[at] = weights[at - 1];
  }
  ids[at] = expert;
  weights[at] = p;
}

void ChooseExperts(const float* p, uint32_t num_experts, uint32_t k, int32_t* ids, float* weights) {
  uint32_t count = 0;
  for (uint32_t e = 0; e < num_experts; ++e) {
    const float value = p[e] >= 0.0f ? p[e] : 0.0f;  // NaN logits must not break the order
    if (count == k && !(value > weights[k - 1])) continue;
    Insert(static_cast<int32_t>(e), value, count < k ? count++ : k - 1, ids, weights);
  }
}

void RouteRow(const RouterTopkArgs& args, float* logits, uint32_t row) {
  HWY_DYNAMIC_DISPATCH(SoftmaxRow)(logits, args.gate.rows);
  int32_t* ids = args.expert_ids + size_t{row} * args.k;
  float* weights = args.expert_weights + size_t{row} * args.k;
  ChooseExperts(logits, args.gate.rows, args.k, ids, weights);
  if (args.normalize) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < args.k; ++i) sum += weights[i];
    if (sum > 0.0f) {
      for (uint32_t i = 0; i < args.k; ++i) weights[i] /= sum;
    }
  }
  if (args.activation_counts == nullptr) return;
  for (uint32_t i = 0; i < args.k; ++i) {
    std::atomic_ref<uint32_t>(args.activation_counts[ids[i]])
        .fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace

void RouterTopkCpu(const RouterTopkArgs& args, ThreadPool& pool) {
  if (args.num_rows == 0) return;
  const size_t num_experts = args.gate.rows;
  thread_local std::vector<float> logits;  // grows only: a warm step allocates nothing
  if (logits.size() < args.num_rows * num_experts) logits.resize(args.num_rows * num_experts);
  float* const rows = logits.data();
  LinearCpu({.x = args.x,
             .weight = args.gate,
             .bias = nullptr,
             .out = rows,
             .out_dtype = DType::kF32,
             .num_rows = args.num_rows},
            pool);
  ForEachRow(pool, args.num_rows, 4 * num_experts,
             [&](uint32_t row) { RouteRow(args, rows + row * num_experts, row); });
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
