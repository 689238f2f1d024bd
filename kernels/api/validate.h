// One check per operation of what the host can see of its arguments: pointers, alignment, shapes,
// dtypes, aliasing. InvalidArgument names the operation, the field, its value and the bound; what
// lies in device memory (ids, positions, tables) is not looked at. Backends call these in debug
// builds, tests always. num_rows = 0 passes whatever the rest is.
#ifndef KERNELS_API_VALIDATE_H_
#define KERNELS_API_VALIDATE_H_

#include "absl/status/status.h"
#include "kernels/api/kernels.h"

namespace spearfish::kernels {

inline constexpr uint32_t kMaxHeadDim = 512;
inline constexpr uint32_t kBufferAlignment = 16;

absl::Status Validate(const EmbedArgs& args);
absl::Status Validate(const RmsNormArgs& args);
absl::Status Validate(const LinearArgs& args);
absl::Status Validate(const QkNormRopeAppendArgs& args);
absl::Status Validate(const AttentionArgs& args);
absl::Status Validate(const RouterTopkArgs& args);
absl::Status Validate(const MoeArgs& args);
absl::Status Validate(const SiluMulArgs& args);
absl::Status Validate(const GatherRowsArgs& args);
absl::Status Validate(const SampleArgs& args);
absl::Status Validate(const LogProbsArgs& args);

}  // namespace spearfish::kernels

#endif  // KERNELS_API_VALIDATE_H_
