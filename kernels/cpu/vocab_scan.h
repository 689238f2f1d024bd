// Passes over one row of logits, vectorised: what sampling and log-probabilities are made of.
#ifndef KERNELS_CPU_VOCAB_SCAN_H_
#define KERNELS_CPU_VOCAB_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace spearfish::kernels {

// The largest finite value; -infinity when there is none.
float LargestFinite(std::span<const float> x);

// out = x with NaN and both infinities replaced by -infinity. Equal sizes.
void CopyFinite(std::span<const float> x, std::span<float> out);

// The first index whose value equals `value`, or x.size().
size_t FindEqual(std::span<const float> x, float value);

// The first index from `begin` on whose value is larger than `bound`, or x.size().
size_t FindAbove(std::span<const float> x, size_t begin, float bound);

// The number of values larger than `bound`.
size_t CountAbove(std::span<const float> x, float bound);

// Sum of exp((x[i] - shift) / temperature) in float64 over the finite values, none above shift.
double SumExp(std::span<const float> x, float shift, float temperature);

// Writes the indices of values >= bound, ascending, and returns how many; ids has x.size() places.
size_t CollectAtLeast(std::span<const float> x, float bound, uint32_t* ids);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_VOCAB_SCAN_H_
