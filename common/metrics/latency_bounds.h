// Buckets of the histograms of seconds. vLLM's boundaries are all among them, so that its buckets
// can be told from the same observations (HistogramValue::Coarsened).
#ifndef COMMON_METRICS_LATENCY_BOUNDS_H_
#define COMMON_METRICS_LATENCY_BOUNDS_H_

#include <array>

namespace spearfish {

// As vLLM's.
inline constexpr std::array<double, 22> kFirstTokenBounds = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25, 0.5,   0.75,
    1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160., 640.0, 2560.0};

// vLLM's begin at 10 ms.
inline constexpr std::array<double, 23> kInterTokenBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,  0.15, 0.2, 0.3,
    0.4,    0.5,   0.75,   1.0,   2.5,  5.0,   7.5,  10.0,  20.0, 40.0, 80.0};

// Parts of a request's time and the whole of it; vLLM's begin at 0.3 s.
inline constexpr std::array<double, 28> kRequestBounds = {
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1,  0.2,  0.3,  0.5,   0.8,   1.0,   1.5,   2.0,    2.5,
    5.0,   10.0,  15.0, 20.0,  30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};

// One forward pass.
inline constexpr std::array<double, 15> kStepBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0};

}  // namespace spearfish

#endif  // COMMON_METRICS_LATENCY_BOUNDS_H_
