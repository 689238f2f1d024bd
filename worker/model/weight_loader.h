// Moves dense tensors of a checkpoint into one device allocation.
#ifndef WORKER_MODEL_WEIGHT_LOADER_H_
#define WORKER_MODEL_WEIGHT_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/safetensors/checkpoint.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"
#include "worker/model/dense_options.h"

namespace spearfish::worker {

// Runs the same list of requests twice: the first pass, without memory, only adds their bytes up;
// the second places them one after the other and copies through a page-locked buffer. Lives while
// a model is built, on one thread; checkpoint, device and stream must outlive it.
class WeightLoader {
 public:
  // The measuring pass: addresses that it returns are null.
  WeightLoader(const Checkpoint& checkpoint, const DenseOptions& options)
      : checkpoint_(checkpoint), options_(options) {}
  // The copying pass, into `memory` of at least the measured bytes.
  static absl::StatusOr<std::unique_ptr<WeightLoader>> Create(const Checkpoint& checkpoint,
                                                              kernels::Device& device,
                                                              kernels::Stream& stream,
                                                              kernels::Buffer& memory,
                                                              const DenseOptions& options);

  // The tensors stacked along their outputs, BF16 if all are, else F32.
  absl::StatusOr<kernels::Matrix> LoadMatrix(const std::vector<std::string>& names);
  // As LoadMatrix, or I8 with its scales where the options say 8 bits.
  absl::StatusOr<kernels::Matrix> LoadProjection(const std::vector<std::string>& names);
  // The tensors one after the other, as F32.
  absl::StatusOr<const float*> LoadVector(const std::vector<std::string>& names);

  // So far asked for, aligned.
  uint64_t bytes() const { return bytes_; }

 private:
  WeightLoader(const Checkpoint& checkpoint, const DenseOptions& options, kernels::Stream& stream,
               kernels::Buffer& memory, std::unique_ptr<kernels::Buffer> staging);

  std::byte* Place(uint64_t bytes);
  absl::StatusOr<std::byte*> Load(const std::vector<std::string>& names, DType dtype);
  absl::Status CopyTensor(const std::string& name, const HostTensor& tensor, DType dtype,
                          std::byte* destination);
  absl::StatusOr<kernels::Matrix> LoadInt8(const std::vector<std::string>& names);
  // Row by row to `rows` and `scales` of the device, by way of the staging buffer.
  absl::Status QuantizeTensor(const std::string& name, const HostTensor& tensor, std::byte* rows,
                              std::byte* scales);

  const Checkpoint& checkpoint_;
  const DenseOptions options_;
  kernels::Stream* stream_ = nullptr;
  kernels::Buffer* memory_ = nullptr;
  std::unique_ptr<kernels::Buffer> staging_;
  uint64_t bytes_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_WEIGHT_LOADER_H_
