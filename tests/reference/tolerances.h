// How far a kernel may be from its float64 oracle. A failing test changes the kernel.
#ifndef TESTS_REFERENCE_TOLERANCES_H_
#define TESTS_REFERENCE_TOLERANCES_H_

namespace spearfish::reference {

// Of the largest magnitude in the row of output. Float32 sums over a few thousand inputs.
inline constexpr double kLinearTolerance = 1e-5;
// Of the largest magnitude in the row of output. The contract's 16-bit activations: rounding to
// max / 32767 of a group is 2.4e-5 of a normal input's deviation, 7e-5 of the product of two
// projections (heavier tails), about 4e-5 of a row's maximum in all; seven deviations of it, for
// the worst of some ten thousand outputs.
inline constexpr double kMoeTolerance = 3e-4;

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_TOLERANCES_H_
