// How far an operation on a CUDA device may be from its float64 oracle. Float32 activations: the
// CPU's tolerances (tests/reference/tolerances.h). BF16 activations: what rounding the output, and
// where said an intermediate, to eight bits adds; inputs are given in BF16, so they add nothing.
#ifndef TESTS_GPU_GPU_TOLERANCES_H_
#define TESTS_GPU_GPU_TOLERANCES_H_

namespace spearfish::kernels {

// Of the expected value: half a unit in the last place is 2^-9 of it, doubled for what lies just
// above a power of two and for the float32 error before.
inline constexpr double kBf16Output = 1.0 / 256;
// The residual is rounded when it is written back, and the output again.
inline constexpr double kBf16TwiceRounded = 1.0 / 128;

}  // namespace spearfish::kernels

#endif  // TESTS_GPU_GPU_TOLERANCES_H_
