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

// |actual - expected| <= tolerance * max(1, |expected|), unless said otherwise.
inline constexpr double kRmsNormTolerance = 1e-6;
inline constexpr double kSiluMulTolerance = 1e-6;
inline constexpr double kRopeTolerance = 2e-6;       // angles reduced in float64
inline constexpr double kAttentionTolerance = 4e-6;  // contexts up to 2000, unit-variance inputs
inline constexpr double kRouterWeightTolerance = 4e-6;
// Two experts whose probabilities differ by less may come in either order.
inline constexpr double kRouterTieTolerance = 1e-6;
inline constexpr double kLogProbTolerance = 2e-6;

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_TOLERANCES_H_
