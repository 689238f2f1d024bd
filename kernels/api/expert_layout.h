// The byte layout of an expert record as kernels see it: the same numbers as
// common/expert_cache/record_layout.h, which the worker copies over. Plain C++17.
#ifndef KERNELS_API_EXPERT_LAYOUT_H_
#define KERNELS_API_EXPERT_LAYOUT_H_

#include <cstdint>

namespace spearfish::kernels {

// record = num_slices slices of slice_bytes; offsets are from the start of a slice, in bytes.
// A packed strip W[N, K]: 16x64 Marlin tiles, tile (kt, nt) at (nt * K/16 + kt) * tile_bytes with
// tile_bytes = 512 (INT4) or 1024 (INT8). Inside a tile, thread i of 32 and column j of 4 own 8
// values: column 16j + i/4 + {0, 8}, rows 2(i%4) + {0, 1, 8, 9}.
//   INT4: uint32 number i*4 + j; nibbles from low to high hold (row r0..r3, column half b0/b1)
//         r0b0 r2b0 r0b1 r2b1 r1b0 r3b0 r1b1 r3b1; stored q + 8.
//   INT8: uint32 numbers (i*4 + j)*2 + b; bytes from low to high r0 r2 r1 r3; stored q + 128.
// Scales: bfloat16 [N/64][K/group][64]; of the 64, position t*8 + j is output t + 8j.
// value = (stored - zero point) * scale.
struct ExpertLayout {
  uint32_t hidden;
  uint32_t intermediate;
  uint32_t bits;            // 4 or 8
  uint32_t slice_channels;  // 128 or 64
  uint32_t num_slices;
  uint32_t w13_group;  // 128 or 64
  uint32_t w2_group;
  uint64_t gate_offset;
  uint64_t up_offset;
  uint64_t w13_scales_offset;  // gate's, then up's
  uint64_t w2_offset;          // W2 strip: N = hidden, K = slice_channels
  uint64_t w2_scales_offset;
  uint64_t slice_bytes;
  uint64_t record_bytes;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_API_EXPERT_LAYOUT_H_
