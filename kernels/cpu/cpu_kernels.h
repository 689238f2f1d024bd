// The operations of a forward pass on the CPU device.
#ifndef KERNELS_CPU_CPU_KERNELS_H_
#define KERNELS_CPU_CPU_KERNELS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace spearfish::kernels {

struct CpuKernelsOptions {
  uint32_t num_threads = 0;  // 0: all cores
};

// Owns the compute threads; the stream's thread takes part in each operation, so num_threads cores
// are busy. Every call puts one task on the stream, which must come from a CpuDevice. Operations of
// two streams share the pool loop by loop. In debug builds the arguments are validated; a broken
// contract ends the process. Streams with work queued must be destroyed or synchronised before it.
class CpuKernels : public Kernels {
 public:
  // InvalidArgument when the device is no CpuDevice.
  static absl::StatusOr<std::unique_ptr<Kernels>> Create(Device& device, CpuKernelsOptions options);

  DType activation_dtype() const override { return DType::kF32; }
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
  explicit CpuKernels(uint32_t num_threads) : pool_(num_threads) {}

  // Queues `compute(args, pool_)`.
  template <typename Args>
  void Enqueue(void (*compute)(const Args&, ThreadPool&), const Args& args, Stream& stream);

  ThreadPool pool_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_CPU_KERNELS_H_
