// The operations of a forward pass on a CUDA device.
#ifndef KERNELS_CUDA_CUDA_KERNELS_H_
#define KERNELS_CUDA_CUDA_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/api/kernels.h"
#include "kernels/cuda/dense_gemm.h"

namespace spearfish::kernels {

struct CudaKernelsOptions {
  // BF16, or F32 to tell a wrong kernel from rounding: slower, and within the CPU's tolerances.
  DType activations = DType::kBF16;
  // Never use the library for dense products, whose sums depend on the number of rows.
  bool strict_batch_invariance = false;
};

// Every call enqueues its kernels on the stream, which must come from a CudaDevice, and returns: no
// operation waits for the device or allocates, so every one may be captured into a graph. Calls on
// different streams share nothing. In debug builds the arguments are validated; a broken contract
// ends the process, and so does a CUDA error (cuda_check.h).
//
// Batch invariance holds without exception for F32 activations, with strict_batch_invariance, and
// for I8 weights, whose products of any number of rows are our own. Else it holds for everything
// but Linear with BF16 weights, no bias and more than kOwnLinearRows rows in a call, which goes to
// cuBLASLt: there a row's bits depend on num_rows. So decode steps of up to kOwnLinearRows
// sequences give each the bits that it gets alone, and the bits of a prompt's rows depend on how it
// was cut into chunks.
class CudaKernels : public Kernels {
 public:
  static constexpr uint32_t kOwnLinearRows = 64;

  // InvalidArgument when the device is no CudaDevice or the activations are neither BF16 nor F32,
  // FailedPrecondition where cuBLASLt is not installed.
  static absl::StatusOr<std::unique_ptr<Kernels>> Create(Device& device,
                                                         CudaKernelsOptions options);

  DType activation_dtype() const override { return options_.activations; }
  uint64_t MoeWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows,
                             uint32_t k) const override;
  uint64_t AttentionWorkspaceBytes(const AttentionShape& shape) const override;
  uint64_t SampleWorkspaceBytes(uint32_t num_rows, uint32_t vocab) const override;

  void Embed(const EmbedArgs& args, Stream& stream) override;
  void RmsNorm(const RmsNormArgs& args, Stream& stream) override;
  void Linear(const LinearArgs& args, Stream& stream) override;
  void QkNormRopeAppend(const QkNormRopeAppendArgs& args, Stream& stream) override;
  void Attention(const AttentionArgs& args, Stream& stream) override;
  void RouterTopk(const RouterTopkArgs& args, Stream& stream) override;
  void Moe(const MoeArgs& args, Stream& stream) override;
  void SiluMul(const SiluMulArgs& args, Stream& stream) override;
  void GatherRows(const GatherRowsArgs& args, Stream& stream) override;
  void Sample(const SampleArgs& args, Stream& stream) override;
  void LogProbs(const LogProbsArgs& args, Stream& stream) override;

 private:
  CudaKernels(CudaKernelsOptions options, std::span<const std::byte> memory,
              std::unique_ptr<DenseGemm> dense_gemm)
      : options_(options),
        slots_begin_(reinterpret_cast<uint64_t>(memory.data())),
        slots_end_(slots_begin_ + memory.size()),
        dense_gemm_(std::move(dense_gemm)) {}

  const CudaKernelsOptions options_;
  // Of the device's memory, in which all slots lie.
  const uint64_t slots_begin_;
  const uint64_t slots_end_;
  const std::unique_ptr<DenseGemm> dense_gemm_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CUDA_KERNELS_H_
