#include "kernels/cpu/cpu_kernels.h"

#include <algorithm>
#include <thread>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "kernels/api/validate.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/embed.h"
#include "kernels/cpu/gather_rows.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/log_probs.h"
#include "kernels/cpu/moe.h"
#include "kernels/cpu/qk_norm_rope_append.h"
#include "kernels/cpu/rms_norm.h"
#include "kernels/cpu/router_topk.h"
#include "kernels/cpu/sample.h"
#include "kernels/cpu/silu_mul.h"

namespace spearfish::kernels {

absl::StatusOr<std::unique_ptr<Kernels>> CpuKernels::Create(Device& device,
                                                            CpuKernelsOptions options) {
  if (dynamic_cast<CpuDevice*>(&device) == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("kernels do not fit the device: CPU kernels, device ", device.info().name,
                     "; create them for a CPU device"));
  }
  const uint32_t num_threads = options.num_threads != 0
                                   ? options.num_threads
                                   : std::max(std::thread::hardware_concurrency(), 1u);
  return absl::WrapUnique(new CpuKernels(num_threads));
}

template <typename Args>
void CpuKernels::Enqueue(void (*compute)(const Args&, ThreadPool&), const Args& args,
                         Stream& stream) {
#ifndef NDEBUG
  SF_CHECK_OK(Validate(args));
#endif
  if (args.num_rows == 0) return;
  auto* cpu_stream = dynamic_cast<CpuStream*>(&stream);
  SF_CHECK(cpu_stream != nullptr);
  cpu_stream->Enqueue([compute, args, pool = &pool_] { compute(args, *pool); });
}

uint64_t CpuKernels::MoeWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows,
                                       uint32_t k) const {
  return MoeCpuWorkspaceBytes(layout, num_rows, k);
}

uint64_t CpuKernels::AttentionWorkspaceBytes(const AttentionShape&) const { return 0; }

uint64_t CpuKernels::SampleWorkspaceBytes(uint32_t num_rows, uint32_t vocab) const {
  return SampleCpuWorkspaceBytes(num_rows, vocab);
}

void CpuKernels::Embed(const EmbedArgs& args, Stream& stream) { Enqueue(&EmbedCpu, args, stream); }

void CpuKernels::RmsNorm(const RmsNormArgs& args, Stream& stream) {
  Enqueue(&RmsNormCpu, args, stream);
}

void CpuKernels::Linear(const LinearArgs& args, Stream& stream) {
  Enqueue(&LinearCpu, args, stream);
}

void CpuKernels::QkNormRopeAppend(const QkNormRopeAppendArgs& args, Stream& stream) {
  Enqueue(&QkNormRopeAppendCpu, args, stream);
}

void CpuKernels::Attention(const AttentionArgs& args, Stream& stream) {
  Enqueue(&AttentionCpu, args, stream);
}

void CpuKernels::RouterTopk(const RouterTopkArgs& args, Stream& stream) {
  Enqueue(&RouterTopkCpu, args, stream);
}

void CpuKernels::Moe(const MoeArgs& args, Stream& stream) { Enqueue(&MoeCpu, args, stream); }

void CpuKernels::SiluMul(const SiluMulArgs& args, Stream& stream) {
  Enqueue(&SiluMulCpu, args, stream);
}

void CpuKernels::GatherRows(const GatherRowsArgs& args, Stream& stream) {
  Enqueue(&GatherRowsCpu, args, stream);
}

void CpuKernels::Sample(const SampleArgs& args, Stream& stream) {
  Enqueue(&SampleCpu, args, stream);
}

void CpuKernels::LogProbs(const LogProbsArgs& args, Stream& stream) {
  Enqueue(&LogProbsCpu, args, stream);
}

}  // namespace spearfish::kernels
