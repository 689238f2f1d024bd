// Temperature, top-k, top-p, min-p and one draw over a row of logits.
#ifndef KERNELS_CPU_TOKEN_DRAW_H_
#define KERNELS_CPU_TOKEN_DRAW_H_

#include <cstdint>
#include <span>

#include "kernels/api/kernels.h"

namespace spearfish::kernels {

// The token that `u` in [0, 1) draws, as SampleRow says. Each of the filters keeps a prefix of the
// tokens in descending order of probability, so only a prefix is ever sorted: candidates are
// collected in widening bands below the largest logit until the band holds what the filters keep.
// `logits` are adjusted and hold no NaN or +infinity; `ids` is scratch of the same size.
// 0 when no logit is finite. Requires row.temperature > 0.
uint32_t DrawToken(std::span<const float> logits, const SampleRow& row, double u, uint32_t* ids);

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_TOKEN_DRAW_H_
