// RouterTopk: a cluster of eight blocks computes the logits of up to kRows rows, a warp an expert;
// then one warp a row takes the softmax and chooses.
#include "kernels/cuda/cluster.cuh"
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kThreads = 1024;
constexpr uint32_t kWarps = kThreads / kWarpLanes;

// Eight values as they lie in memory.
template <typename T>
struct Eight {
  uint4 words[sizeof(T) / 2];

  Eight() = default;
  __device__ __forceinline__ explicit Eight(const T* from) {
#pragma unroll
    for (uint32_t i = 0; i < sizeof(T) / 2; ++i) words[i] = reinterpret_cast<const uint4*>(from)[i];
  }
};

template <typename A, typename W>
__device__ __forceinline__ float AddProducts(const Eight<W>& weights, const Eight<A>& values,
                                             float sum) {
  float w[8];
  float x[8];
  Load8(reinterpret_cast<const W*>(weights.words), w);
  Load8(reinterpret_cast<const A*>(values.words), x);
#pragma unroll
  for (int j = 0; j < 8; ++j) sum = fmaf(x[j], w[j], sum);
  return sum;
}

// Lane l sums the inputs 8l..8l+7, 8l+256, ... (one by one where rows are not aligned).
template <typename A, typename W, uint32_t kRows>
__device__ void Logits(const A* x, const W* w, uint32_t dim, uint32_t rows, float (&sums)[kRows]) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (uint32_t r = 0; r < kRows; ++r) sums[r] = 0;
  if (dim % 8 == 0) {
    constexpr uint32_t kStep = kWarpLanes * 8;
    uint32_t i = lane * 8;
    for (; i + 3 * kStep < dim; i += 4 * kStep) {
      Eight<W> weights[4];  // in flight together
      Eight<A> values[4];
#pragma unroll
      for (uint32_t u = 0; u < 4; ++u) weights[u] = Eight<W>(w + i + u * kStep);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        if (r >= rows) break;
#pragma unroll
        for (uint32_t u = 0; u < 4; ++u)
          values[u] = Eight<A>(x + uint64_t{r} * dim + i + u * kStep);
#pragma unroll
        for (uint32_t u = 0; u < 4; ++u) sums[r] = AddProducts(weights[u], values[u], sums[r]);
      }
    }
    for (; i < dim; i += kStep) {
      const Eight<W> weights(w + i);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        if (r < rows) sums[r] = AddProducts(weights, Eight<A>(x + uint64_t{r} * dim + i), sums[r]);
      }
    }
  } else {
    for (uint32_t i = lane; i < dim; i += kWarpLanes) {
      const float weight = Widen(w[i]);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        if (r < rows) sums[r] = fmaf(Widen(x[uint64_t{r} * dim + i]), weight, sums[r]);
      }
    }
  }
#pragma unroll
  for (uint32_t r = 0; r < kRows; ++r) sums[r] = WarpSum(sums[r]);
}

// By a warp, of a row that does not change.
template <typename W>
__device__ __forceinline__ void PrefetchRow(const W* row, uint32_t dim) {
  constexpr uint32_t kLine = 128 / sizeof(W);
  for (uint32_t i = threadIdx.x % kWarpLanes * kLine; i < dim; i += kWarpLanes * kLine) {
    PrefetchLine(row + i);
  }
}

// The experts of a lane: lane, lane + 32, ... of a row's logits; in registers up to kKept a lane.
constexpr uint32_t kKept = 8;

// The largest of a lane's experts: one more than the bits of its probability, which order as the
// probabilities do; 0 when none is left.
struct Candidate {
  uint32_t key;
  uint32_t expert;
};

// A row's probabilities, spread over a warp. kPerLane is 0 where they stay in shared memory.
template <uint32_t kPerLane>
class RowProbabilities {
 public:
  // Takes logits and makes them probabilities; NaN becomes 0, so that it can't break the order.
  __device__ RowProbabilities(float* logits, uint32_t count) : p_(logits), count_(count) {
    float max = -INFINITY;
    ForEach([&](uint32_t e, float& value) {
      value = logits[e];
      max = fmaxf(max, value);
    });
    max = WarpMax(max);
    float sum = 0;
    ForEach([&](uint32_t, float& value) { sum += value = expf(value - max); });
    sum = WarpSum(sum);
    ForEach([&](uint32_t, float& value) {
      const float share = value / sum;
      value = share >= 0.0f ? fabsf(share) : 0.0f;  // never -0, whose bits would come first
    });
  }

  // The largest of those left once `expert` is taken, if it is the lane's.
  __device__ Candidate LargestWithout(uint32_t expert) {
    Candidate best{0, 0xffffffffu};
    ForEach([&](uint32_t e, float& value) {
      if (e == expert) value = -1.0f;
      const uint32_t key = value < 0.0f ? 0 : __float_as_uint(value) + 1;
      if (key > best.key) best = {key, e};
    });
    return best;
  }

 private:
  template <typename Visit>
  __device__ __forceinline__ void ForEach(const Visit& visit) {
    const uint32_t lane = threadIdx.x % kWarpLanes;
    if constexpr (kPerLane == 0) {
      for (uint32_t e = lane; e < count_; e += kWarpLanes) visit(e, p_[e]);
    } else {
#pragma unroll
      for (uint32_t i = 0; i < kPerLane; ++i) {
        const uint32_t e = lane + i * kWarpLanes;
        if (e < count_) visit(e, kept_[i]);
      }
    }
  }

  float* const p_;
  const uint32_t count_;
  float kept_[kPerLane == 0 ? 1 : kPerLane];
};

// Choices that a warp keeps, one a lane, until all are known; more are divided in memory.
template <uint32_t kPerLane>
__device__ void Choose(const RouterTopkLaunch& launch, float* logits, uint32_t row) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  int32_t* ids = launch.expert_ids + uint64_t{row} * launch.k;
  float* weights = launch.expert_weights + uint64_t{row} * launch.k;
  RowProbabilities<kPerLane> p(logits, launch.num_experts);
  Candidate mine = p.LargestWithout(launch.num_experts);
  float sum = 0;
  float own_weight = 0;
  uint32_t own_expert = 0;
  for (uint32_t i = 0; i < launch.k; ++i) {
    // The largest of all; ties go to the lower expert.
    const uint32_t key = __reduce_max_sync(kFullWarp, mine.key);
    const uint32_t expert =
        __reduce_min_sync(kFullWarp, mine.key == key ? mine.expert : 0xffffffffu);
    const float value = __uint_as_float(key - 1);
    sum += value;
    if (mine.expert == expert) mine = p.LargestWithout(expert);
    if (i % kWarpLanes == lane) {
      own_weight = value;
      own_expert = expert;
    }
    const bool is_last = i + 1 == launch.k;
    const uint32_t at = i / kWarpLanes * kWarpLanes + lane;
    if ((!is_last && (i + 1) % kWarpLanes != 0) || at > i) continue;
    const bool divides = launch.normalize && launch.k <= kWarpLanes && sum > 0.0f;
    ids[at] = static_cast<int32_t>(own_expert);
    weights[at] = divides ? own_weight / sum : own_weight;
    if (launch.activation_counts != nullptr) {
      atomicAdd(&launch.activation_counts[own_expert], 1u);
    }
  }
  if (!launch.normalize || launch.k <= kWarpLanes || !(sum > 0.0f)) return;
  __syncwarp();
  for (uint32_t i = lane; i < launch.k; i += kWarpLanes) weights[i] /= sum;
}

__device__ void ChooseExperts(const RouterTopkLaunch& launch, float* logits, uint32_t row) {
  if (launch.num_experts <= kKept * kWarpLanes) {
    Choose<kKept>(launch, logits, row);
  } else {
    Choose<0>(launch, logits, row);
  }
}

// Shared memory: logits of this rank's experts [kRows][share], then the rows' [kRows][experts].
template <typename A, typename W, uint32_t kRows>
__global__ void __launch_bounds__(kThreads, 1)
    RouterTopkKernel(RouterTopkLaunch launch, uint32_t ranks) {
  extern __shared__ float memory[];
  const uint32_t rank = blockIdx.x % ranks;
  const uint32_t first_row = blockIdx.x / ranks * kRows;
  const uint32_t rows = min(kRows, launch.num_rows - first_row);
  const uint32_t share = (launch.num_experts + ranks - 1) / ranks;
  const uint32_t first = min(rank * share, launch.num_experts);
  const uint32_t last = min(first + share, launch.num_experts);
  const uint32_t warp = threadIdx.x / kWarpLanes;
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const A* x = static_cast<const A*>(launch.x) + uint64_t{first_row} * launch.dim;
  const W* gate = static_cast<const W*>(launch.gate);
  StartKernelAfter();
  for (uint32_t e = first + warp; e < last; e += kWarps) {
    PrefetchRow(gate + uint64_t{e} * launch.dim, launch.dim);
  }
  WaitForKernelsBefore();
  for (uint32_t e = first + warp; e < last; e += kWarps) {
    float sums[kRows];
    Logits<A, W, kRows>(x, gate + uint64_t{e} * launch.dim, launch.dim, rows, sums);
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      if (lane == r) memory[r * share + e - first] = sums[r];
    }
  }
  ClusterSync();
  float* const all = memory + kRows * share;
  for (uint32_t r = rank; r < rows; r += ranks) {
    for (uint32_t e = threadIdx.x; e < launch.num_experts; e += kThreads) {
      all[r * launch.num_experts + e] = AtRank(memory, e / share)[r * share + e % share];
    }
  }
  __syncthreads();
  const uint32_t mine = rank + warp * ranks;  // the row of this warp
  if (mine < rows) ChooseExperts(launch, all + mine * launch.num_experts, first_row + mine);
  ClusterSync();  // no block leaves while its memory is read
}

template <typename A, typename W, uint32_t kRows>
void Launch(const RouterTopkLaunch& launch, cudaStream_t stream) {
  const uint32_t ranks = DeviceIsHopperOrLater() ? kClusterRanks : 1;
  const uint32_t share = (launch.num_experts + ranks - 1) / ranks;
  const uint32_t shared_bytes =
      kRows * (share + launch.num_experts) * static_cast<uint32_t>(sizeof(float));
  LaunchRanks(RouterTopkKernel<A, W, kRows>, launch, dim3((launch.num_rows + kRows - 1) / kRows),
              kThreads, shared_bytes, ranks, stream);
}

// Rows that share a pass over the gate once there are more than clusters can run side by side.
constexpr uint32_t kManyRows = 32;

}  // namespace

void LaunchRouterTopk(const RouterTopkLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    WithType(launch.gate_dtype, [&](auto w) {
      if (launch.num_rows < kManyRows) {
        Launch<decltype(a), decltype(w), 1>(launch, stream);
      } else {
        Launch<decltype(a), decltype(w), 4>(launch, stream);
      }
    });
  });
}

}  // namespace spearfish::kernels
