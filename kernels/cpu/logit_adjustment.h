// Penalties and biases of sampling.
#ifndef KERNELS_CPU_LOGIT_ADJUSTMENT_H_
#define KERNELS_CPU_LOGIT_ADJUSTMENT_H_

#include <cstdint>
#include <span>

#include "kernels/api/kernels.h"

namespace spearfish::kernels {

// Whether AdjustLogits would change anything.
bool NeedsAdjustment(const SampleRow& row);

// Applies repetition, frequency and presence penalties, then the biases, as SampleRow says. Tokens
// outside the vocabulary are ignored; a value that is no longer finite becomes -infinity.
// `counts` is scratch of the same size, contents undefined before and after.
void AdjustLogits(const SampleArgs& args, const SampleRow& row, std::span<float> logits,
                  uint32_t* counts);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_LOGIT_ADJUSTMENT_H_
