#include "common/tensor/host_tensor.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/bfloat16.h"
#include "common/base/check.h"

namespace spearfish {
namespace {

template <typename T>
void WidenFrom(std::span<const std::byte> bytes, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = ToFloat(value);
  }
}

}  // namespace

int64_t HostTensor::num_elements() const {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

HostTensor HostTensor::Slice(int64_t begin, int64_t end) const {
  SF_CHECK(!shape.empty() && 0 <= begin && begin <= end && end <= shape[0]);
  const size_t row_bytes = shape[0] == 0 ? 0 : bytes.size() / static_cast<size_t>(shape[0]);
  HostTensor out = *this;
  out.shape[0] = end - begin;
  out.bytes = bytes.subspan(static_cast<size_t>(begin) * row_bytes,
                            static_cast<size_t>(end - begin) * row_bytes);
  return out;
}

HostTensor HostTensor::operator[](int64_t index) const {
  HostTensor out = Slice(index, index + 1);
  out.shape.erase(out.shape.begin());
  return out;
}

absl::Status WidenToFloat(const HostTensor& tensor, std::span<float> out) {
  SF_CHECK(static_cast<int64_t>(out.size()) == tensor.num_elements());
  SF_CHECK(tensor.bytes.size() == out.size() * DTypeBytes(tensor.dtype) ||
           tensor.dtype == DType::kOther);
  switch (tensor.dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), tensor.bytes.data(), out.size_bytes());
      return absl::OkStatus();
    case DType::kBF16:
      WidenFrom<BFloat16>(tensor.bytes, out);
      return absl::OkStatus();
    case DType::kF16:
      WidenFrom<Float16>(tensor.bytes, out);
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(absl::StrCat("unsupported weight dtype ",
                                                     DTypeName(tensor.dtype),
                                                     "; convert the checkpoint to BF16"));
  }
}

}  // namespace spearfish
