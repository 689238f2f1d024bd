// Float64 oracle of kernels::LinearArgs.
#ifndef TESTS_REFERENCE_LINEAR_REFERENCE_H_
#define TESTS_REFERENCE_LINEAR_REFERENCE_H_

#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

// [num_rows, weight.rows]; reads args' inputs as host memory, x as float32, and not args.out.
std::vector<double> Linear(const kernels::LinearArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_LINEAR_REFERENCE_H_
