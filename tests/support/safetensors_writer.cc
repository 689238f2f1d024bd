#include "tests/support/safetensors_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"

namespace spearfish::tests {
namespace {

constexpr uint16_t kHalfInfinity = 0x7c00;

template <typename T>
void AppendRaw(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

}  // namespace

Float16 ToFloat16(float value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return Float16{static_cast<uint16_t>(sign | 0x7e00)};
  if (magnitude == 0.0f) return Float16{sign};
  if (magnitude >= 65520.0f) return Float16{static_cast<uint16_t>(sign | kHalfInfinity)};
  int exponent = 0;  // magnitude = m * 2^exponent, m in [0.5, 1)
  std::frexp(magnitude, &exponent);
  // The unit in the last place: 2^(exponent - 11) for normal numbers, 2^-24 below them.
  const int ulp = std::max(exponent - 11, -24);
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, -ulp)));
  // Units count from the binade's start (1024) in normal numbers; the carry into the next binade
  // falls out of the addition.
  const uint32_t bits = (static_cast<uint32_t>(ulp + 24) << 10) + units;
  return Float16{static_cast<uint16_t>(sign | bits)};
}

std::string EncodeFloats(DType dtype, std::span<const float> values) {
  std::string out;
  out.reserve(values.size() * DTypeBytes(dtype));
  for (const float value : values) {
    switch (dtype) {
      case DType::kF32:
        AppendRaw(out, value);
        break;
      case DType::kBF16:
        AppendRaw(out, ToBFloat16(value).bits);
        break;
      case DType::kF16:
        AppendRaw(out, ToFloat16(value).bits);
        break;
      default:
        SF_CHECK(false && "a float dtype");
    }
  }
  return out;
}

NamedTensor MakeTensor(std::string name, DType dtype, std::vector<int64_t> shape,
                       std::span<const float> values) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  SF_CHECK(count == static_cast<int64_t>(values.size()));
  return {.name = std::move(name),
          .dtype = dtype,
          .shape = std::move(shape),
          .bytes = EncodeFloats(dtype, values)};
}

std::string SerializeSafetensors(const std::vector<NamedTensor>& tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const NamedTensor& tensor : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {{"dtype", DTypeName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data aligned to 8, as the reference writer does
  return SerializeRawSafetensors(text, data);
}

std::string SerializeRawSafetensors(const std::string& header_json, const std::string& data) {
  std::string out;
  out.reserve(8 + header_json.size() + data.size());
  AppendRaw(out, static_cast<uint64_t>(header_json.size()));
  out += header_json;
  out += data;
  return out;
}

}  // namespace spearfish::tests
