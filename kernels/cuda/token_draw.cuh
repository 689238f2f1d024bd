// One draw from a row of adjusted logits without sorting it.
#ifndef KERNELS_CUDA_TOKEN_DRAW_CUH_
#define KERNELS_CUDA_TOKEN_DRAW_CUH_

#include "kernels/cuda/launch.h"
#include "kernels/cuda/vocab_order.cuh"

namespace spearfish::kernels {

// Tokens stand in order of probability. Each filter keeps a prefix, so all that a filter decides is
// the mass of its prefix, and the draw is the first token whose cumulative mass exceeds u times the
// least of these. Prefixes are found digit by digit with histograms of counts and masses: first by
// the distance to the largest logit in sixteenths of the temperature, then by the bits of the
// logit, then by the bits of the id. Masses are integers, so that the order of atomic additions is
// lost, and are added in limbs of 11 bits: shared memory adds 32 bits at once, 64 only by retrying.
//
// A block's view of one row; every method is called by all kVocabThreads threads.
class TokenDraw {
 public:
  static constexpr uint32_t kBins = 1024;     // of the first digit
  static constexpr uint32_t kByteBins = 256;  // of the others
  static constexpr uint32_t kLimbs = 4;
  static constexpr uint32_t kLimbBits = 11;

  template <uint32_t kCount>
  struct Histogram {
    unsigned long long mass[kCount];
    uint32_t count[kCount];
    uint32_t member[kCount];  // the last token of a bin; the token where the count is one
  };
  struct Memory {
    Histogram<kBins> first;  // for every search
    Histogram<kByteBins> next;
    uint32_t limbs[kLimbs][kBins];
    unsigned long long warp_mass[kVocabWarps];
    uint32_t warp_count[kVocabWarps];
    uint32_t found_bin;
    unsigned long long before_mass;
    unsigned long long before_count;
  };

  __device__ TokenDraw(const float* logits, uint32_t vocab, float max, float temperature,
                       Memory& memory)
      : logits_(logits), vocab_(vocab), max_(max), temperature_(temperature), memory_(memory) {}

  __device__ uint32_t Draw(const SampleRowView& row, double u) {
    Build(0, Prefix{}, memory_.first);
    unsigned long long kept = BlockTotal(memory_.first.mass[threadIdx.x]);
    if (row.top_k != 0 && row.top_k < vocab_) {
      const unsigned long long mass = Search([&](unsigned long long count, unsigned long long) {
                                        return count >= row.top_k;
                                      }).mass;
      kept = mass < kept ? mass : kept;
    }
    if (row.top_p < 1.0f) {
      const double enough = static_cast<double>(row.top_p) * static_cast<double>(kept);
      const unsigned long long mass = Search([&](unsigned long long, unsigned long long m) {
                                        return static_cast<double>(m) >= enough;
                                      }).mass;
      kept = mass < kept ? mass : kept;
    }
    if (row.min_p > 0.0f) {
      const unsigned long long mass = SumFrom(row.min_p);
      kept = mass < kept ? mass : kept;
    }
    const double target = u * static_cast<double>(kept);
    return Search([&](unsigned long long, unsigned long long m) {
             return static_cast<double>(m) > target;
           })
        .token;
  }

 private:
  // Room for 2^20 tokens of weight one in 64 bits.
  static constexpr double kUnit = 8796093022208.0;  // 2^43

  struct Prefix {
    uint32_t bin = 0;
    uint32_t key = 0;
    uint32_t id = 0;
  };
  struct Found {
    uint32_t token;
    unsigned long long mass;  // of the tokens up to it, its own included
  };

  __device__ double Weight(float x) const {
    return exp((static_cast<double>(x) - static_cast<double>(max_)) /
               static_cast<double>(temperature_));
  }
  __device__ unsigned long long Mass(float x) const { return __double2ull_rn(Weight(x) * kUnit); }
  // Does not fall as x falls.
  __device__ uint32_t Bin(float x) const {
    return static_cast<uint32_t>(fminf((max_ - x) / temperature_ * 16.0f, kBins - 1.0f));
  }

  // Digit `level` of a token and whether the digits before it are those of the prefix.
  __device__ bool Digit(uint32_t level, float x, uint32_t id, const Prefix& prefix,
                        uint32_t& digit) const {
    digit = Bin(x);
    if (level == 0) return true;
    if (digit != prefix.bin) return false;
    const uint32_t key = DescendingKey(x);
    const uint32_t key_shift = level <= 4 ? 32 - 8 * level : 0;
    if (level <= 4) {
      digit = key >> key_shift & 0xff;
      return level == 1 || key >> (key_shift + 8) == prefix.key >> (key_shift + 8);
    }
    const uint32_t id_shift = 32 - 8 * (level - 4);
    digit = id >> id_shift & 0xff;
    return key == prefix.key && (level == 5 || id >> (id_shift + 8) == prefix.id >> (id_shift + 8));
  }

  __device__ static void Extend(uint32_t level, uint32_t digit, Prefix& prefix) {
    if (level == 0) {
      prefix.bin = digit;
    } else if (level <= 4) {
      prefix.key |= digit << (32 - 8 * level);
    } else {
      prefix.id |= digit << (32 - 8 * (level - 4));
    }
  }

  template <uint32_t kCount>
  __device__ void Build(uint32_t level, const Prefix& prefix, Histogram<kCount>& histogram) {
    const uint32_t bin = threadIdx.x;
    __syncthreads();
    if (bin < kCount) {
      histogram.count[bin] = 0;
      histogram.member[bin] = 0;
#pragma unroll
      for (uint32_t l = 0; l < kLimbs; ++l) memory_.limbs[l][bin] = 0;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < vocab_; i += kVocabThreads) {
      const float x = logits_[i];
      uint32_t digit;
      if (x == -INFINITY || !Digit(level, x, i, prefix, digit)) continue;
      atomicAdd(&histogram.count[digit], 1u);
      atomicMax(&histogram.member[digit], i);
      unsigned long long mass = Mass(x);
#pragma unroll
      for (uint32_t l = 0; l < kLimbs; ++l) {
        const uint32_t limb = static_cast<uint32_t>(mass) & ((1u << kLimbBits) - 1);
        if (limb != 0) atomicAdd(&memory_.limbs[l][digit], limb);
        mass >>= kLimbBits;
      }
    }
    __syncthreads();
    if (bin < kCount) {
      unsigned long long mass = 0;
#pragma unroll
      for (uint32_t l = kLimbs; l > 0; --l) {
        mass = (mass << kLimbBits) + memory_.limbs[l - 1][bin];
      }
      histogram.mass[bin] = mass;
    }
    __syncthreads();
  }

  __device__ unsigned long long BlockTotal(unsigned long long sum) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kFullWarp, sum, step);
    __syncthreads();
    if (threadIdx.x % kWarpLanes == 0) memory_.warp_mass[threadIdx.x / kWarpLanes] = sum;
    __syncthreads();
    sum = 0;
    for (uint32_t w = 0; w < kVocabWarps; ++w) sum += memory_.warp_mass[w];
    return sum;
  }

  // Mass of the tokens whose weight is at least `least`; of the first token if there is none.
  __device__ unsigned long long SumFrom(float least) {
    // The largest weight is one; a bound above it leaves one token.
    if (least > 1.0f) return static_cast<unsigned long long>(kUnit);
    unsigned long long sum = 0;
    for (uint32_t i = threadIdx.x; i < vocab_; i += kVocabThreads) {
      const float x = logits_[i];
      if (x != -INFINITY && Weight(x) >= static_cast<double>(least)) sum += Mass(x);
    }
    return BlockTotal(sum);
  }

  // The first token for which enough(count, mass) of the tokens up to it holds; else the last.
  template <typename Enough>
  __device__ Found Search(const Enough& enough) {
    Prefix prefix;
    unsigned long long before_count = 0;
    unsigned long long before_mass = 0;
    Found found;
    if (SearchDigit(0, memory_.first, prefix, before_count, before_mass, enough, found)) {
      return found;
    }
    for (uint32_t level = 1;; ++level) {
      Build(level, prefix, memory_.next);
      if (SearchDigit(level, memory_.next, prefix, before_count, before_mass, enough, found)) {
        return found;
      }
    }
  }

  // Narrows to a bin; true when that leaves one token.
  template <uint32_t kCount, typename Enough>
  __device__ bool SearchDigit(uint32_t level, const Histogram<kCount>& histogram, Prefix& prefix,
                              unsigned long long& before_count, unsigned long long& before_mass,
                              const Enough& enough, Found& found) {
    FindBin(histogram, before_count, before_mass, enough);
    const uint32_t bin = memory_.found_bin;
    before_count = memory_.before_count;
    before_mass = memory_.before_mass;
    found = {histogram.member[bin], before_mass + histogram.mass[bin]};
    if (histogram.count[bin] <= 1 || level == 8) return true;
    Extend(level, bin, prefix);
    return false;
  }

  // Writes the first bin in which `enough` comes true, or the last that is not empty, and what
  // lies before it. One bin a thread.
  template <uint32_t kCount, typename Enough>
  __device__ void FindBin(const Histogram<kCount>& histogram, unsigned long long before_count,
                          unsigned long long before_mass, const Enough& enough) {
    const uint32_t lane = threadIdx.x % kWarpLanes;
    const uint32_t warp = threadIdx.x / kWarpLanes;
    const bool has_bin = threadIdx.x < kCount;
    const uint32_t own_count = has_bin ? histogram.count[threadIdx.x] : 0;
    const unsigned long long own_mass = has_bin ? histogram.mass[threadIdx.x] : 0;
    uint32_t count_to = own_count;
    unsigned long long mass_to = own_mass;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const uint32_t c = __shfl_up_sync(kFullWarp, count_to, step);
      const unsigned long long m = __shfl_up_sync(kFullWarp, mass_to, step);
      if (lane >= static_cast<uint32_t>(step)) {
        count_to += c;
        mass_to += m;
      }
    }
    __syncthreads();
    if (lane == 31) {
      memory_.warp_count[warp] = count_to;
      memory_.warp_mass[warp] = mass_to;
    }
    if (threadIdx.x == 0) memory_.found_bin = kBins;
    __syncthreads();
    unsigned long long all_count = before_count + count_to;
    unsigned long long all_mass = before_mass + mass_to;
    for (uint32_t w = 0; w < warp; ++w) {
      all_count += memory_.warp_count[w];
      all_mass += memory_.warp_mass[w];
    }
    if (own_count != 0 && enough(all_count, all_mass)) {
      atomicMin(&memory_.found_bin, threadIdx.x);
    }
    __syncthreads();
    const bool none = memory_.found_bin == kBins;
    __syncthreads();
    if (none) {
      if (threadIdx.x == 0) memory_.found_bin = 0;
      __syncthreads();
      if (own_count != 0) atomicMax(&memory_.found_bin, threadIdx.x);
      __syncthreads();
    }
    if (threadIdx.x == memory_.found_bin) {
      memory_.before_count = all_count - own_count;
      memory_.before_mass = all_mass - own_mass;
    }
    __syncthreads();
  }

  const float* const logits_;
  const uint32_t vocab_;
  const float max_;
  const float temperature_;
  Memory& memory_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_TOKEN_DRAW_CUH_
