// One draw from a row of adjusted logits without sorting it.
#ifndef KERNELS_CUDA_TOKEN_DRAW_CUH_
#define KERNELS_CUDA_TOKEN_DRAW_CUH_

#include "kernels/api/philox.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/token_histogram.cuh"
#include "kernels/cuda/vocab_order.cuh"

namespace spearfish::kernels {

// Tokens stand in order of probability. Each filter keeps a prefix, so all that a filter decides is
// the mass of its prefix, and the draw is the first token whose cumulative mass exceeds u times the
// least of these. Masses are integers (2^43 for the most likely token), so sums don't depend on how
// they are split. A token more than 31 temperatures below the largest logit has mass 0, changes no
// prefix's mass and can't be drawn: it takes no part.
//
// A prefix's end is found by a histogram over the distance to the largest logit and a sort of the
// bin where it lies; a bin with too many tokens is divided again by their order. Where top-k leaves
// few tokens, they are listed and sorted once, and the rest of the row is forgotten.
//
// Every method is called by all threads of all blocks that share the row, which all go the same way
// and get the same results. Shared memory that other ranks read is written again only after a
// ClusterSync that followed their reading.
class TokenDraw {
 public:
  // What a thread holds of a sequence in order (a bin, or a listed token), and all up to it.
  struct Part {
    TokenSum own;
    TokenSum to;

    __device__ __forceinline__ TokenSum before() const {
      return {to.count - own.count, to.mass - own.mass};
    }
  };
  struct Memory {
    ClusterMinMemory<2> bounds;
    TokenHistogram::Memory histogram;
    unsigned long long list[kVocabThreads];  // a block's tokens; other ranks read it and list_size
    uint32_t list_size;
    unsigned long long block_mass;  // other ranks read it
    uint32_t list_sizes[kClusterRanks];
    unsigned long long sorted[kVocabThreads];  // orders of the last list
    TokenSum warps[kVocabWarps];
    uint32_t found_index;
    Part found;
  };
  struct Row {
    VocabShare share;
    uint32_t rank;
    uint32_t ranks;
    uint32_t vocab;
  };

  // `bounds` of the row's finite tokens, of which there is one at least.
  __device__ TokenDraw(const Row& row, const OrderBounds& bounds, const SampleRowView& rules,
                       Memory& memory)
      : row_(row),
        rules_(rules),
        memory_(memory),
        temperature_(rules.temperature),
        max_(LogitOf(bounds.first)),
        reach_(kReach * temperature_) {
    const float range = fminf(max_ - LogitOf(bounds.last), reach_);
    bins_per_logit_ = range > 0.0f ? kTokenBins / range : 0.0f;
  }

  __device__ uint32_t Draw() {
    const bool has_top_k = rules_.top_k != 0 && rules_.top_k < row_.vocab;
    if (has_top_k) TakeHead();
    if (!head_) sequence_ = CountAll(true);
    unsigned long long kept = Total();
    Found found;
#pragma unroll 1
    for (uint32_t step = has_top_k ? kTopK : kTopP; step <= kChoice; ++step) {
      if (step == kTopP && !(rules_.top_p < 1.0f)) continue;
      if (step == kChoice && rules_.min_p > 0.0f) kept = min(kept, MassFrom(rules_.min_p));
      found = Search(GoalOf(step, static_cast<double>(kept)));
      if (found.any) kept = min(kept, found.part.to.mass);
    }
    return static_cast<uint32_t>(memory_.sorted[found.index]);
  }

 private:
  // Room for 2^20 tokens of weight one in 64 bits.
  static constexpr double kUnit = 8796093022208.0;  // 2^43
  // exp(-31) * kUnit is 0.3, however the distance was rounded.
  static constexpr float kReach = 31.0f;
  static constexpr uint32_t kListed = kVocabThreads;  // tokens that are sorted at most
  static constexpr uint32_t kNever = 0xffffffffu;

  enum Step : uint32_t { kTopK, kTopP, kChoice };

  // The part at which a prefix ends, and whose it is; `any` is false where none does.
  struct Found {
    bool any;
    uint32_t index;
    Part part;
  };
  // Ends the prefix: as many tokens, or as much mass.
  struct Goal {
    uint32_t count;
    double mass;

    __device__ __forceinline__ bool Reached(const TokenSum& sum) const {
      return sum.count >= count || static_cast<double>(sum.mass) >= mass;
    }
  };
  // The tokens of some bins of the distance, and of these the ones with an order in [first, last].
  struct Slice {
    uint32_t first_bin;
    uint32_t last_bin;
    unsigned long long first;
    unsigned long long last;
  };

  __device__ Goal GoalOf(uint32_t step, double kept) const {
    if (step == kTopK) return {rules_.top_k, INFINITY};
    if (step == kTopP) return {kNever, static_cast<double>(rules_.top_p) * kept};
    // More than u * kept.
    const double u = UniformDouble(rules_.seed, rules_.counter);
    return {kNever, nextafter(u * kept, static_cast<double>(INFINITY))};
  }

  __device__ double Weight(float x) const {
    return exp((static_cast<double>(x) - static_cast<double>(max_)) /
               static_cast<double>(temperature_));
  }
  __device__ static unsigned long long Mass(double weight) {
    return __double2ull_rn(weight * kUnit);
  }
  // Does not fall as x falls.
  __device__ uint32_t Bin(float x) const {
    const float distance = max_ - x;
    if (!isfinite(x) || distance > reach_) return kNoBin;
    return static_cast<uint32_t>(fminf(distance * bins_per_logit_, kTokenBins - 1.0f));
  }
  __device__ bool IsIn(const Slice& slice, float x, uint32_t id) const {
    const uint32_t bin = Bin(x);
    const unsigned long long order = TokenOrder(x, id);
    return bin >= slice.first_bin && bin <= slice.last_bin && order >= slice.first &&
           order <= slice.last;
  }

  // Lists the tokens that top-k leaves and forgets the rest, unless they are many.
  __device__ void TakeHead() {
    sequence_ = CountAll(false);
    const Found cut = First(sequence_, GoalOf(kTopK, 0));
    head_ = cut.any && cut.part.to.count <= kListed;
    if (head_) sequence_ = List({0, cut.index, 0, kNoToken}, {0, 0});
  }

  // The bins of the distance.
  __device__ Part CountAll(bool with_masses) {
    return Count(with_masses, {0, 0}, [this](float x, uint32_t) { return Bin(x); });
  }

  // The histogram of bin_of(logit, id), behind what is before.
  template <typename BinOf>
  __device__ __forceinline__ Part Count(bool with_masses, const TokenSum& before,
                                        const BinOf& bin_of) {
    TokenHistogram histogram(memory_.histogram, row_.rank, row_.ranks, with_masses);
    row_.share.Walk<1>([&](float x, uint32_t id) {
      const uint32_t bin = bin_of(x, id);
      unsigned long long mass = 0;
      if (with_masses && bin != kNoBin) mass = Mass(Weight(x));
      histogram.Add(bin, mass);
    });
    return AddUp(histogram.Collect(), before);
  }

  // The slice's tokens in order, at most kListed, behind what is before.
  __device__ Part List(const Slice& slice, const TokenSum& before) {
    if (threadIdx.x == 0) memory_.list_size = 0;
    __syncthreads();
    row_.share.Walk<1>([&](float x, uint32_t id) {
      if (!IsIn(slice, x, id)) return;
      memory_.list[atomicAdd(&memory_.list_size, 1u)] = TokenOrder(x, id);
    });
    ClusterSync();
    if (threadIdx.x < row_.ranks) {
      memory_.list_sizes[threadIdx.x] = *AtRank(&memory_.list_size, threadIdx.x);
    }
    __syncthreads();
    unsigned long long order = kNoToken;
    uint32_t size = 0;
    for (uint32_t r = 0; r < row_.ranks; ++r) {
      const uint32_t at = threadIdx.x - size;
      if (at < memory_.list_sizes[r]) order = *AtRank(&memory_.list[at], r);
      size += memory_.list_sizes[r];
    }
    Sort(order, size);
    TokenSum own{0, 0};
    if (threadIdx.x < size) own = {1, Mass(Weight(LogitOf(memory_.sorted[threadIdx.x])))};
    return AddUp(own, before);
  }

  // Bitonic sort of one value a thread, of which `size` are not kNoToken and come first.
  __device__ void Sort(unsigned long long order, uint32_t size) {
    unsigned long long* sorted = memory_.sorted;
    sorted[threadIdx.x] = order;
    __syncthreads();
    for (uint32_t run = 2; run / 2 < size; run *= 2) {
      for (uint32_t stride = run / 2; stride > 0; stride /= 2) {
        const uint32_t partner = threadIdx.x ^ stride;
        if (partner > threadIdx.x) {
          const unsigned long long a = sorted[threadIdx.x];
          const unsigned long long b = sorted[partner];
          if ((a > b) == ((threadIdx.x & run) == 0)) {
            sorted[threadIdx.x] = b;
            sorted[partner] = a;
          }
        }
        __syncthreads();
      }
    }
  }

  // A thread's part of a sequence behind what is before. Between two calls goes a barrier.
  __device__ Part AddUp(const TokenSum& own, const TokenSum& before) {
    const uint32_t lane = threadIdx.x % kWarpLanes;
    const uint32_t warp = threadIdx.x / kWarpLanes;
    Part part{own, own};
#pragma unroll
    for (uint32_t step = 1; step < kWarpLanes; step *= 2) {
      const uint32_t count = __shfl_up_sync(kFullWarp, part.to.count, step);
      const unsigned long long mass = __shfl_up_sync(kFullWarp, part.to.mass, step);
      if (lane >= step) {
        part.to.count += count;
        part.to.mass += mass;
      }
    }
    if (lane == kWarpLanes - 1) memory_.warps[warp] = part.to;
    __syncthreads();
    TokenSum sum{0, 0};
    if (lane < warp) sum = memory_.warps[lane];
    part.to.count += before.count + __reduce_add_sync(kFullWarp, sum.count);
    part.to.mass += before.mass + WarpTotal(sum.mass);
    return part;
  }

  __device__ static unsigned long long WarpTotal(unsigned long long sum) {
#pragma unroll
    for (uint32_t step = kWarpLanes / 2; step > 0; step /= 2) {
      sum += __shfl_xor_sync(kFullWarp, sum, step);
    }
    return sum;
  }

  __device__ unsigned long long BlockTotal(unsigned long long sum) {
    sum = WarpTotal(sum);
    __syncthreads();
    if (threadIdx.x % kWarpLanes == 0) memory_.warps[threadIdx.x / kWarpLanes].mass = sum;
    __syncthreads();
    return WarpTotal(memory_.warps[threadIdx.x % kWarpLanes].mass);
  }

  __device__ unsigned long long Total() { return BlockTotal(sequence_.own.mass); }

  // Mass of the tokens whose weight is at least `least`; of the first token if there is none, whose
  // weight is one.
  __device__ unsigned long long MassFrom(float least) {
    if (least > 1.0f) return static_cast<unsigned long long>(kUnit);
    const auto mass_of = [&](float x) {
      const double weight = Weight(x);
      return weight >= static_cast<double>(least) ? Mass(weight) : 0;
    };
    unsigned long long sum = 0;
    if (head_) {
      if (sequence_.own.count != 0) sum = mass_of(LogitOf(memory_.sorted[threadIdx.x]));
      return BlockTotal(sum);
    }
    row_.share.Walk<1>([&](float x, uint32_t) {
      if (Bin(x) != kNoBin) sum += mass_of(x);
    });
    sum = BlockTotal(sum);
    if (threadIdx.x == 0) memory_.block_mass = sum;
    ClusterSync();
    sum = 0;
    for (uint32_t r = 0; r < row_.ranks; ++r) sum += *AtRank(&memory_.block_mass, r);
    return sum;
  }

  // The token at which the goal is reached; not any if that is never.
  __device__ __forceinline__ Found Search(const Goal& goal) {
    Found found = First(sequence_, goal);
    if (head_ || !found.any) return found;
    Slice slice{found.index, found.index, 0, kNoToken};
    while (found.part.own.count > kListed) {
      const OrderBounds bounds =
          FindBounds<1>(row_.share, row_.ranks, memory_.bounds,
                        [&](float x, uint32_t id) { return IsIn(slice, x, id); });
      // More tokens than bins, so a bin is more than one value of the order.
      const uint32_t shift = 64 - __clzll(bounds.last - bounds.first) - kTokenBinBits;
      const auto bin_of = [&](float x, uint32_t id) {
        if (!IsIn(slice, x, id)) return kNoBin;
        return static_cast<uint32_t>((TokenOrder(x, id) - bounds.first) >> shift);
      };
      found = First(Count(true, found.part.before(), bin_of), goal);
      slice.first = bounds.first + (static_cast<unsigned long long>(found.index) << shift);
      slice.last = slice.first + ((1ull << shift) - 1);
    }
    found = First(List(slice, found.part.before()), goal);
    ClusterSync();  // before another list
    return found;
  }

  // The part of the sequence at which the goal is reached.
  __device__ __forceinline__ Found First(const Part& part, const Goal& goal) {
    // Of what comes before the sequence it is known that it does not reach the goal.
    const bool here = part.own.count != 0 && goal.Reached(part.to) &&
                      (part.before().count == 0 || !goal.Reached(part.before()));
    if (here) {
      memory_.found_index = threadIdx.x;
      memory_.found = part;
    }
    const bool any = __syncthreads_or(here) != 0;
    const Found found{any, memory_.found_index, memory_.found};
    __syncthreads();  // before the next is written
    return found;
  }

  const Row row_;
  const SampleRowView& rules_;
  Memory& memory_;
  const float temperature_;
  const float max_;
  const float reach_;
  float bins_per_logit_;
  bool head_ = false;  // the sequence is a list of all tokens that count
  Part sequence_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_TOKEN_DRAW_CUH_
