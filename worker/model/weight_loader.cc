#include "worker/model/weight_loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/tensor/host_tensor.h"

namespace spearfish::worker {
namespace {

constexpr uint64_t kAlignment = 256;
constexpr size_t kStagingBytes = 8 * kMiB;

// The first element whose exponent is all ones (NaN or infinity).
std::optional<size_t> FindNonFinite(std::span<const uint16_t> bf16) {
  const auto it = std::find_if(bf16.begin(), bf16.end(),
                               [](uint16_t bits) { return (bits & 0x7f80u) == 0x7f80u; });
  if (it == bf16.end()) return std::nullopt;
  return static_cast<size_t>(it - bf16.begin());
}

std::optional<size_t> FindNonFinite(std::span<const float> values) {
  const auto it =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (it == values.end()) return std::nullopt;
  return static_cast<size_t>(it - values.begin());
}

// Elements [begin, begin + count) of a tensor as a flat one.
HostTensor FlatSlice(const HostTensor& tensor, size_t begin, size_t count) {
  const size_t element = DTypeBytes(tensor.dtype);
  return {.dtype = tensor.dtype,
          .shape = {static_cast<int64_t>(count)},
          .bytes = tensor.bytes.subspan(begin * element, count * element)};
}

// Writes the slice as `dtype` to `out`, which is aligned for it. The first element that is not
// finite, if any.
absl::StatusOr<std::optional<size_t>> Convert(const HostTensor& slice, DType dtype,
                                              std::byte* out) {
  const auto count = static_cast<size_t>(slice.num_elements());
  if (dtype == DType::kBF16) {
    std::memcpy(out, slice.bytes.data(), slice.bytes.size());
    return FindNonFinite(std::span(reinterpret_cast<const uint16_t*>(out), count));
  }
  const std::span<float> floats(reinterpret_cast<float*>(out), count);
  SF_RETURN_IF_ERROR(WidenToFloat(slice, floats));
  return FindNonFinite(std::span<const float>(floats));
}

}  // namespace

WeightLoader::WeightLoader(const Checkpoint& checkpoint, kernels::Stream& stream,
                           kernels::Buffer& memory, std::unique_ptr<kernels::Buffer> staging)
    : checkpoint_(checkpoint), stream_(&stream), memory_(&memory), staging_(std::move(staging)) {}

absl::StatusOr<std::unique_ptr<WeightLoader>> WeightLoader::Create(const Checkpoint& checkpoint,
                                                                   kernels::Device& device,
                                                                   kernels::Stream& stream,
                                                                   kernels::Buffer& memory) {
  SF_ASSIGN_OR_RETURN(auto staging, device.AllocateHost(kStagingBytes));
  return absl::WrapUnique(new WeightLoader(checkpoint, stream, memory, std::move(staging)));
}

absl::StatusOr<kernels::Matrix> WeightLoader::LoadMatrix(const std::vector<std::string>& names) {
  kernels::Matrix matrix{.dtype = DType::kBF16};
  for (const std::string& name : names) {
    SF_ASSIGN_OR_RETURN(const HostTensor tensor, checkpoint_.Find(name));
    SF_CHECK(tensor.shape.size() == 2);  // Checkpoint::Open has checked every shape
    if (tensor.dtype != DType::kBF16) matrix.dtype = DType::kF32;
    matrix.rows += static_cast<uint32_t>(tensor.shape[0]);
    matrix.cols = static_cast<uint32_t>(tensor.shape[1]);
  }
  SF_ASSIGN_OR_RETURN(matrix.data, Load(names, matrix.dtype));
  return matrix;
}

absl::StatusOr<const float*> WeightLoader::LoadVector(const std::vector<std::string>& names) {
  SF_ASSIGN_OR_RETURN(const std::byte* data, Load(names, DType::kF32));
  return reinterpret_cast<const float*>(data);
}

absl::StatusOr<std::byte*> WeightLoader::Load(const std::vector<std::string>& names, DType dtype) {
  std::vector<HostTensor> tensors;
  uint64_t elements = 0;
  for (const std::string& name : names) {
    SF_ASSIGN_OR_RETURN(tensors.emplace_back(), checkpoint_.Find(name));
    elements += static_cast<uint64_t>(tensors.back().num_elements());
  }
  std::byte* const placed = Place(elements * DTypeBytes(dtype));
  if (placed == nullptr) return placed;
  std::byte* destination = placed;
  for (size_t i = 0; i < names.size(); ++i) {
    SF_RETURN_IF_ERROR(CopyTensor(names[i], tensors[i], dtype, destination));
    destination += static_cast<uint64_t>(tensors[i].num_elements()) * DTypeBytes(dtype);
  }
  return placed;
}

std::byte* WeightLoader::Place(uint64_t bytes) {
  const uint64_t offset = bytes_;
  bytes_ += AlignUp(bytes, kAlignment);
  if (memory_ == nullptr) return nullptr;
  SF_CHECK(bytes_ <= memory_->bytes());
  return memory_->as<std::byte>() + offset;
}

absl::Status WeightLoader::CopyTensor(const std::string& name, const HostTensor& tensor,
                                      DType dtype, std::byte* destination) {
  const auto elements = static_cast<size_t>(tensor.num_elements());
  const size_t piece = staging_->bytes() / DTypeBytes(dtype);
  for (size_t begin = 0; begin < elements; begin += piece) {
    const size_t count = std::min(piece, elements - begin);
    SF_ASSIGN_OR_RETURN(const std::optional<size_t> bad,
                        Convert(FlatSlice(tensor, begin, count), dtype, staging_->as<std::byte>()));
    if (bad.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("checkpoint weight is NaN or infinite: element %d of %s; fetch or export "
                          "the checkpoint again",
                          begin + *bad, name));
    }
    stream_->Copy(destination + begin * DTypeBytes(dtype), staging_->data(),
                  count * DTypeBytes(dtype));
    stream_->Synchronize();  // the staging buffer is written again
  }
  return absl::OkStatus();
}

}  // namespace spearfish::worker
