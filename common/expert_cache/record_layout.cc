#include "common/expert_cache/record_layout.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace spearfish {
namespace {

constexpr uint64_t kRegionAlignment = 256;
constexpr uint64_t kRecordAlignment = 4096;
// Far above any model, low enough that no product below overflows 64 bits.
constexpr uint32_t kMaxDim = 1u << 20;

bool IsServedDim(uint32_t dim) { return dim > 0 && dim % 64 == 0 && dim <= kMaxDim; }

uint32_t GroupOf(uint32_t dim) { return dim % 128 == 0 ? 128 : 64; }

}  // namespace

absl::StatusOr<RecordLayout> RecordLayout::Create(uint32_t hidden, uint32_t intermediate,
                                                  uint32_t bits) {
  if (bits != 4 && bits != 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("unsupported weight width: ", bits, " bits; use 4 or 8"));
  }
  if (!IsServedDim(hidden) || !IsServedDim(intermediate)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unsupported expert shape: hidden ", hidden, ", intermediate ", intermediate,
                     "; both must be multiples of 64 from 64 to ", kMaxDim));
  }
  RecordLayout layout;
  layout.hidden = hidden;
  layout.intermediate = intermediate;
  layout.bits = bits;
  layout.slice_channels = GroupOf(intermediate);
  layout.num_slices = intermediate / layout.slice_channels;
  layout.w13_group = GroupOf(hidden);
  layout.w2_group = GroupOf(intermediate);

  const uint64_t strip_weights = uint64_t{hidden} * layout.slice_channels;
  const uint64_t strip_bytes = strip_weights * bits / 8;
  const uint64_t w13_scale_bytes = 2 * (strip_weights / layout.w13_group) * 2;
  const uint64_t w2_scale_bytes = strip_weights / layout.w2_group * 2;
  layout.up_offset = AlignUp(strip_bytes, kRegionAlignment);
  layout.w13_scales_offset = AlignUp(layout.up_offset + strip_bytes, kRegionAlignment);
  layout.w2_offset = AlignUp(layout.w13_scales_offset + w13_scale_bytes, kRegionAlignment);
  layout.w2_scales_offset = AlignUp(layout.w2_offset + strip_bytes, kRegionAlignment);
  layout.slice_bytes = AlignUp(layout.w2_scales_offset + w2_scale_bytes, kRegionAlignment);
  layout.record_bytes = AlignUp(layout.num_slices * layout.slice_bytes, kRecordAlignment);
  return layout;
}

}  // namespace spearfish
