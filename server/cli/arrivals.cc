#include "server/cli/arrivals.h"

#include <cmath>
#include <random>

namespace spearfish::server::cli {

std::vector<absl::Duration> PoissonArrivals(double per_second, uint32_t num_arrivals,
                                            uint64_t seed) {
  // The standard says what the engine gives, but not what its exponential distribution makes of it.
  std::mt19937_64 random(seed);
  std::vector<absl::Duration> arrivals;
  arrivals.reserve(num_arrivals);
  double seconds = 0;
  for (uint32_t i = 0; i < num_arrivals; ++i) {
    const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;  // [0, 1)
    seconds -= std::log1p(-uniform) / per_second;
    arrivals.push_back(absl::Seconds(seconds));
  }
  return arrivals;
}

}  // namespace spearfish::server::cli
