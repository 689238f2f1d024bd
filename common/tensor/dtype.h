// Element types of tensors on disk and on a device. Plain C++17: CUDA translation units include it.
#ifndef COMMON_TENSOR_DTYPE_H_
#define COMMON_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>

namespace spearfish {

enum class DType : uint8_t { kF32, kBF16, kF16, kI64, kI32, kI8, kU8, kOther };

// Bytes of one element; 0 for kOther.
constexpr size_t DTypeBytes(DType dtype) {
  switch (dtype) {
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kI8:
    case DType::kU8:
      return 1;
    case DType::kOther:
      return 0;
  }
  return 0;
}

constexpr const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kI64:
      return "I64";
    case DType::kI32:
      return "I32";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
    case DType::kOther:
      return "unsupported";
  }
  return "unsupported";
}

}  // namespace spearfish

#endif  // COMMON_TENSOR_DTYPE_H_
