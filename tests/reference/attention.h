// Float64 oracle of Attention.
#ifndef TESTS_REFERENCE_ATTENTION_H_
#define TESTS_REFERENCE_ATTENTION_H_

#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

// [num_rows, num_heads, head_dim]; zero for rows that see no key or belong to no sequence.
std::vector<double> Attention(const kernels::AttentionArgs& args);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_ATTENTION_H_
