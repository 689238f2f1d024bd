#include "worker/experts/kernel_layout.h"

namespace spearfish::worker {

kernels::ExpertLayout ToKernelLayout(const RecordLayout& layout) {
  return {.hidden = layout.hidden,
          .intermediate = layout.intermediate,
          .bits = layout.bits,
          .slice_channels = layout.slice_channels,
          .num_slices = layout.num_slices,
          .w13_group = layout.w13_group,
          .w2_group = layout.w2_group,
          .gate_offset = layout.gate_offset,
          .up_offset = layout.up_offset,
          .w13_scales_offset = layout.w13_scales_offset,
          .w2_offset = layout.w2_offset,
          .w2_scales_offset = layout.w2_scales_offset,
          .slice_bytes = layout.slice_bytes,
          .record_bytes = layout.record_bytes};
}

}  // namespace spearfish::worker
