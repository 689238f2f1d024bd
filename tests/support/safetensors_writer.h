// Writes safetensors files, good and (byte by byte) bad ones.
#ifndef TESTS_SUPPORT_SAFETENSORS_WRITER_H_
#define TESTS_SUPPORT_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/bfloat16.h"
#include "common/tensor/dtype.h"

namespace spearfish::tests {

struct NamedTensor {
  std::string name = {};
  DType dtype = DType::kF32;
  std::vector<int64_t> shape = {};
  std::string bytes = {};  // row-major, little-endian
};

// Round to nearest, ties to even; overflow gives infinity.
Float16 ToFloat16(float value);

// `values` as the bytes of F32, BF16 or F16 elements.
std::string EncodeFloats(DType dtype, std::span<const float> values);

// A tensor of F32, BF16 or F16 from floats; their number must match the shape.
NamedTensor MakeTensor(std::string name, DType dtype, std::vector<int64_t> shape,
                       std::span<const float> values);

// The bytes of a whole file: tensors in the given order, without gaps.
std::string SerializeSafetensors(const std::vector<NamedTensor>& tensors);

// The bytes of a file with this header text and data, whatever they say.
std::string SerializeRawSafetensors(const std::string& header_json, const std::string& data);

}  // namespace spearfish::tests

#endif  // TESTS_SUPPORT_SAFETENSORS_WRITER_H_
