// Any bytes: ParseSafetensors fails cleanly, or what it returns lies inside them and is disjoint.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/check.h"
#include "common/safetensors/safetensors_file.h"
#include "common/tensor/host_tensor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span<const uint8_t>(data, size));
  const absl::StatusOr<spearfish::TensorIndex> tensors = spearfish::ParseSafetensors(file);
  if (!tensors.ok()) return 0;
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const auto& [name, tensor] : *tensors) {
    const std::span<const std::byte> bytes = tensor.bytes;
    SF_CHECK(bytes.data() >= file.data());
    SF_CHECK(bytes.data() + bytes.size() <= file.data() + file.size());
    if (!bytes.empty()) ranges.emplace_back(bytes.data(), bytes.data() + bytes.size());
    const size_t element_bytes = spearfish::DTypeBytes(tensor.dtype);
    if (element_bytes == 0) continue;
    const auto elements = static_cast<size_t>(tensor.num_elements());
    SF_CHECK(elements * element_bytes == bytes.size());
    std::vector<float> values(elements);
    (void)spearfish::WidenToFloat(tensor, values);  // reads every byte
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) SF_CHECK(ranges[i - 1].second <= ranges[i].first);
  return 0;
}
