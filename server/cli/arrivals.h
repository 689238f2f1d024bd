// When the requests of an open-loop load test begin. Pure.
#ifndef SERVER_CLI_ARRIVALS_H_
#define SERVER_CLI_ARRIVALS_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace spearfish::server::cli {

// A Poisson process of `per_second` arrivals: times since the begin, ascending. The same for the
// same seed. `per_second` is positive.
std::vector<absl::Duration> PoissonArrivals(double per_second, uint32_t num_arrivals,
                                            uint64_t seed);

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_ARRIVALS_H_
