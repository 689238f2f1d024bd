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
#include "common/expert_cache/parallel_tasks.h"
#include "common/tensor/host_tensor.h"
#include "worker/model/int8_row.h"

namespace spearfish::worker {
namespace {

constexpr uint64_t kAlignment = 256;
constexpr size_t kStagingBytes = 8 * kMiB;
constexpr size_t kRowsPerTask = 64;

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

absl::Status NotFinite(const std::string& name, size_t element) {
  return absl::InvalidArgumentError(
      absl::StrFormat("checkpoint weight is NaN or infinite: element %d of %s; fetch or export the "
                      "checkpoint again",
                      element, name));
}

// Rows [begin, end) of a tensor to `out` and `scales`, one after the other.
absl::Status QuantizeRows(const std::string& name, const HostTensor& tensor, size_t begin,
                          size_t end, int8_t* out, float* scales) {
  const auto cols = static_cast<size_t>(tensor.shape[1]);
  std::vector<float> row(cols);
  for (size_t r = begin; r < end; ++r) {
    SF_RETURN_IF_ERROR(WidenToFloat(FlatSlice(tensor, r * cols, cols), row));
    if (const auto bad = FindNonFinite(std::span<const float>(row))) {
      return NotFinite(name, r * cols + *bad);
    }
    *scales++ = QuantizeInt8Row(row, out);
    out += cols;
  }
  return absl::OkStatus();
}

}  // namespace

WeightLoader::WeightLoader(const Checkpoint& checkpoint, const DenseOptions& options,
                           kernels::Stream& stream, kernels::Buffer& memory,
                           std::unique_ptr<kernels::Buffer> staging)
    : checkpoint_(checkpoint),
      options_(options),
      stream_(&stream),
      memory_(&memory),
      staging_(std::move(staging)) {}

absl::StatusOr<std::unique_ptr<WeightLoader>> WeightLoader::Create(const Checkpoint& checkpoint,
                                                                   kernels::Device& device,
                                                                   kernels::Stream& stream,
                                                                   kernels::Buffer& memory,
                                                                   const DenseOptions& options) {
  SF_ASSIGN_OR_RETURN(auto staging, device.AllocateHost(kStagingBytes));
  return absl::WrapUnique(
      new WeightLoader(checkpoint, options, stream, memory, std::move(staging)));
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

absl::StatusOr<kernels::Matrix> WeightLoader::LoadProjection(
    const std::vector<std::string>& names) {
  return options_.bits == 8 ? LoadInt8(names) : LoadMatrix(names);
}

absl::StatusOr<kernels::Matrix> WeightLoader::LoadInt8(const std::vector<std::string>& names) {
  kernels::Matrix matrix{.dtype = DType::kI8};
  std::vector<HostTensor> tensors;
  for (const std::string& name : names) {
    SF_ASSIGN_OR_RETURN(tensors.emplace_back(), checkpoint_.Find(name));
    const HostTensor& tensor = tensors.back();
    SF_CHECK(tensor.shape.size() == 2);  // Checkpoint::Open has checked every shape
    matrix.rows += static_cast<uint32_t>(tensor.shape[0]);
    matrix.cols = static_cast<uint32_t>(tensor.shape[1]);
  }
  std::byte* rows = Place(uint64_t{matrix.rows} * matrix.cols);
  std::byte* scales = Place(uint64_t{matrix.rows} * sizeof(float));
  if (rows == nullptr) return matrix;
  matrix.data = rows;
  matrix.scales = reinterpret_cast<const float*>(scales);
  for (size_t i = 0; i < names.size(); ++i) {
    SF_RETURN_IF_ERROR(QuantizeTensor(names[i], tensors[i], rows, scales));
    rows += static_cast<uint64_t>(tensors[i].num_elements());
    scales += static_cast<uint64_t>(tensors[i].shape[0]) * sizeof(float);
  }
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
    if (bad.has_value()) return NotFinite(name, begin + *bad);
    stream_->Copy(destination + begin * DTypeBytes(dtype), staging_->data(),
                  count * DTypeBytes(dtype));
    stream_->Synchronize();  // the staging buffer is written again
  }
  return absl::OkStatus();
}

absl::Status WeightLoader::QuantizeTensor(const std::string& name, const HostTensor& tensor,
                                          std::byte* rows, std::byte* scales) {
  const auto num_rows = static_cast<size_t>(tensor.shape[0]);
  const auto cols = static_cast<size_t>(tensor.shape[1]);
  // Scales first, then the rows that they are of.
  const size_t piece = std::min(num_rows, staging_->bytes() / (cols + sizeof(float)));
  SF_CHECK(piece > 0);
  auto* const staged_scales = staging_->as<float>();
  auto* const staged_rows = reinterpret_cast<int8_t*>(staged_scales + piece);
  for (size_t begin = 0; begin < num_rows; begin += piece) {
    const size_t count = std::min(piece, num_rows - begin);
    const auto num_tasks = static_cast<uint32_t>((count + kRowsPerTask - 1) / kRowsPerTask);
    SF_RETURN_IF_ERROR(RunTasks(num_tasks, options_.num_threads, [&](uint32_t task) {
      const size_t first = task * kRowsPerTask;
      const size_t end = std::min(first + kRowsPerTask, count);
      return QuantizeRows(name, tensor, begin + first, begin + end, staged_rows + first * cols,
                          staged_scales + first);
    }));
    stream_->Copy(rows + begin * cols, staged_rows, count * cols);
    stream_->Copy(scales + begin * sizeof(float), staged_scales, count * sizeof(float));
    stream_->Synchronize();  // the staging buffer is written again
  }
  return absl::OkStatus();
}

}  // namespace spearfish::worker
