// Float64 oracle of QkNormRopeAppend.
#ifndef TESTS_REFERENCE_QK_NORM_ROPE_APPEND_H_
#define TESTS_REFERENCE_QK_NORM_ROPE_APPEND_H_

#include <vector>

#include "kernels/api/kernels.h"

namespace spearfish::reference {

struct QkNormRopeAppendResult {
  std::vector<double> q;  // [num_rows, num_heads, head_dim]
  std::vector<double> k;  // [num_rows, num_kv_heads, head_dim]: what goes to the rows' slots
  std::vector<double> v;
};
QkNormRopeAppendResult QkNormRopeAppend(const kernels::QkNormRopeAppendArgs& args);

// The element of a KV cache plane at (slot, kv_head, i).
size_t KvIndex(const kernels::KvLayer& kv, size_t slot, size_t kv_head, size_t i);

}  // namespace spearfish::reference

#endif  // TESTS_REFERENCE_QK_NORM_ROPE_APPEND_H_
