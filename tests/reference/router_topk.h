// Float64 oracle of RouterTopk.
#ifndef TESTS_REFERENCE_ROUTER_TOPK_H_
#define TESTS_REFERENCE_ROUTER_TOPK_H_

#include <cstdint>
#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

struct RouterTopkResult {
  std::vector<double> probabilities;  // [num_rows, experts]
  std::vector<int32_t> ids;           // [num_rows, k]
  std::vector<double> weights;        // [num_rows, k]
};
RouterTopkResult RouterTopk(const kernels::RouterTopkArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_ROUTER_TOPK_H_
