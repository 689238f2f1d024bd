// A read-only, contiguous, row-major tensor in host memory (usually inside a mapped checkpoint).
#ifndef COMMON_TENSOR_HOST_TENSOR_H_
#define COMMON_TENSOR_HOST_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "common/tensor/dtype.h"

namespace spearfish {

// Does not own the bytes; they may be unaligned for the element type.
struct HostTensor {
  DType dtype = DType::kOther;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;

  int64_t num_elements() const;

  // Row-major slice along dimension 0, [begin, end): no copy. Requires 0 <= begin <= end <= dim 0.
  HostTensor Slice(int64_t begin, int64_t end) const;

  // A view with one index of dimension 0 fixed; the rank falls by one. No copy.
  HostTensor operator[](int64_t index) const;
};

// Widens any of F32, BF16, F16 to float, exactly. `out` has num_elements() floats.
// InvalidArgument for another dtype.
absl::Status WidenToFloat(const HostTensor& tensor, std::span<float> out);

}  // namespace spearfish

#endif  // COMMON_TENSOR_HOST_TENSOR_H_
