// Float64 oracle of kernels::MoeArgs, read element by element from the layout's definition
// (kernels/api/expert_layout.h), and random expert records to feed it.
#ifndef TESTS_REFERENCE_MOE_REFERENCE_H_
#define TESTS_REFERENCE_MOE_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/api/expert_layout.h"
#include "kernels/api/kernels.h"

namespace spearfish::reference {

// The layout of a record by the rules of common/expert_cache/record_layout.h. hidden and
// intermediate are multiples of 64, bits is 4 or 8.
kernels::ExpertLayout MakeExpertLayout(uint32_t hidden, uint32_t intermediate, uint32_t bits);

// A packed strip W[N, inputs] inside a record.
struct StripView {
  const std::byte* packed;
  const std::byte* scales;
  uint32_t inputs;
  uint32_t group;
  uint32_t bits;
};

// (stored - zero point) * scale of output n, input k.
double StripWeight(const StripView& strip, uint32_t n, uint32_t k);

// Any integers, scales of either sign such that weights are about 1 / sqrt(inputs). `record` is
// layout.record_bytes long; the padding is filled with bytes that would show if read as a scale.
void FillRandomRecord(const kernels::ExpertLayout& layout, uint64_t seed, std::byte* record);

// [num_rows, hidden]; reads args' inputs as host memory, x as float32, and not args.out.
std::vector<double> Moe(const kernels::MoeArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_MOE_REFERENCE_H_
