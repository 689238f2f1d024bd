// Where everything lies inside one expert record. Pure arithmetic; format.h draws the bytes.
#ifndef COMMON_EXPERT_CACHE_RECORD_LAYOUT_H_
#define COMMON_EXPERT_CACHE_RECORD_LAYOUT_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace spearfish {

enum class ScaleMode : uint32_t { kAbsmax = 1, kMse = 2 };

struct QuantOptions {
  uint32_t bits = 4;  // 4 or 8
  ScaleMode scale = ScaleMode::kMse;
};

// Offsets are in bytes from the start of a slice, each a multiple of 256.
//
//   record = slice 0 | slice 1 | ... | padding to 4 KiB
//   slice  = gate packed | up packed | w13 scales (gate, then up) | w2 packed | w2 scales
//
// A packed strip W[N, K] (N outputs, K inputs) is ceil-free: N is a multiple of 64, K of 16. Its
// 16x64 Marlin tiles are stored output tile by output tile, inside one all input tiles in order:
// tile (kt, nt) starts at (nt * K/16 + kt) * tile_bytes, tile_bytes = 512 (INT4) or 1024 (INT8).
// Scales of a strip: bfloat16, [N/64][K/group][64], and of the 64 in Marlin's order: position
// t*8 + j holds output t + 8*j of the tile column.
struct RecordLayout {
  uint32_t hidden = 0;
  uint32_t intermediate = 0;
  uint32_t bits = 4;
  uint32_t slice_channels =
      0;  // intermediate channels a slice: 128, or 64 where 128 does not divide
  uint32_t num_slices = 0;
  uint32_t w13_group = 0;  // inputs (of hidden) that share one scale
  uint32_t w2_group = 0;   // inputs (of the slice's channels) that share one scale

  uint64_t gate_offset = 0;  // always 0
  uint64_t up_offset = 0;
  uint64_t w13_scales_offset = 0;  // gate's, then up's directly after
  uint64_t w2_offset = 0;
  uint64_t w2_scales_offset = 0;
  uint64_t slice_bytes = 0;
  uint64_t record_bytes = 0;  // num_slices * slice_bytes, rounded up to 4 KiB

  // InvalidArgument unless bits is 4 or 8 and hidden and intermediate are positive multiples of 64.
  static absl::StatusOr<RecordLayout> Create(uint32_t hidden, uint32_t intermediate, uint32_t bits);

  friend bool operator==(const RecordLayout&, const RecordLayout&) = default;
};

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_RECORD_LAYOUT_H_
