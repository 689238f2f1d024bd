// Marlin tiles: how 16 inputs x 64 outputs of integer weights stand in memory, so that a tensor
// core's fragment is one aligned load.
//
// Of a tile, thread i of 32 owns for each column j of 4 the outputs c + {0, 8}, c = 16 j + i / 4,
// at the inputs r0..r3 = 2 (i % 4) + {0, 1, 8, 9}. Its codes, from the low bits up (b0 is output c,
// b1 output c + 8):
//   INT4, uint32 number 4 i + j:             r0b0 r2b0 r0b1 r2b1 r1b0 r3b0 r1b1 r3b1
//   INT8, uint32 number 2 (4 i + j) + b:     r0 r2 r1 r3
#ifndef COMMON_EXPERT_CACHE_MARLIN_TILE_H_
#define COMMON_EXPERT_CACHE_MARLIN_TILE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/bfloat16.h"

namespace spearfish {

inline constexpr uint32_t kTileInputs = 16;
inline constexpr uint32_t kTileOutputs = 64;

constexpr size_t TileBytes(uint32_t bits) { return kTileInputs * kTileOutputs * bits / 8; }

// Where output n of a tile column has its scale among the column's 64.
constexpr uint32_t ScalePosition(uint32_t n) { return n % 8 * 8 + n / 8; }

// One tile column of a strip: 64 outputs x num_inputs (a multiple of 16), its tiles in order of
// inputs. Codes are stored values (q + zero point), row-major by output: codes[n * stride + k].
struct TileColumnShape {
  uint32_t num_inputs = 0;
  uint32_t bits = 4;
  size_t stride = 0;  // elements between the rows of two outputs

  size_t packed_bytes() const { return num_inputs / kTileInputs * TileBytes(bits); }
};

// `codes` reaches from the first code to at least the last; `packed` has packed_bytes().
void PackTileColumn(std::span<const uint8_t> codes, const TileColumnShape& shape,
                    std::span<std::byte> packed);
void UnpackTileColumn(std::span<const std::byte> packed, const TileColumnShape& shape,
                      std::span<uint8_t> codes);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_MARLIN_TILE_H_
