#include "common/expert_cache/marlin_tile.h"

#include <cstring>

#include "common/base/check.h"

namespace spearfish {
namespace {

constexpr uint32_t kThreads = 32;
constexpr uint32_t kColumns = 4;

// The four codes of one output that a thread owns, as the bytes r0 r2 r1 r3.
uint32_t GatherRows(const uint8_t* row, uint32_t r0) {
  return row[r0] | uint32_t{row[r0 + 8]} << 8 | uint32_t{row[r0 + 1]} << 16 |
         uint32_t{row[r0 + 9]} << 24;
}

void ScatterRows(uint32_t word, uint8_t* row, uint32_t r0) {
  row[r0] = static_cast<uint8_t>(word);
  row[r0 + 8] = static_cast<uint8_t>(word >> 8);
  row[r0 + 1] = static_cast<uint8_t>(word >> 16);
  row[r0 + 9] = static_cast<uint8_t>(word >> 24);
}

// Bytes r0 r2 r1 r3, each under 16, to nibbles: r0 r2 in byte 0 and r1 r3 in byte 2.
uint32_t ToNibbles(uint32_t word) { return (word | word >> 4) & 0x00ff00ffu; }
uint32_t FromNibbles(uint32_t word) { return (word & 0x000f000fu) | (word & 0x00f000f0u) << 4; }

// Calls fn(word index of INT4, output c, input r0) for all that the threads of a tile own.
template <typename Fn>
void ForEachOwned(Fn fn) {
  for (uint32_t thread = 0; thread < kThreads; ++thread) {
    for (uint32_t column = 0; column < kColumns; ++column) {
      fn(thread * kColumns + column, column * 16 + thread / 4, thread % 4 * 2);
    }
  }
}

void CheckShape(const TileColumnShape& shape, size_t num_codes, size_t packed_bytes) {
  SF_CHECK(shape.bits == 4 || shape.bits == 8);
  SF_CHECK(shape.num_inputs % kTileInputs == 0 && shape.stride >= shape.num_inputs);
  SF_CHECK(num_codes >= (kTileOutputs - 1) * shape.stride + shape.num_inputs);
  SF_CHECK(packed_bytes == shape.packed_bytes());
}

}  // namespace

void PackTileColumn(std::span<const uint8_t> codes, const TileColumnShape& shape,
                    std::span<std::byte> packed) {
  CheckShape(shape, codes.size(), packed.size());
  std::byte* tile = packed.data();
  for (uint32_t k = 0; k < shape.num_inputs; k += kTileInputs, tile += TileBytes(shape.bits)) {
    ForEachOwned([&](uint32_t index, uint32_t output, uint32_t input) {
      const uint8_t* row = codes.data() + output * shape.stride + k;
      const uint32_t first = GatherRows(row, input);
      const uint32_t second = GatherRows(row + 8 * shape.stride, input);
      if (shape.bits == 4) {
        const uint32_t word = ToNibbles(first) | ToNibbles(second) << 8;
        std::memcpy(tile + index * sizeof(word), &word, sizeof(word));
      } else {
        const uint32_t words[2] = {first, second};
        std::memcpy(tile + index * sizeof(words), words, sizeof(words));
      }
    });
  }
}

void UnpackTileColumn(std::span<const std::byte> packed, const TileColumnShape& shape,
                      std::span<uint8_t> codes) {
  CheckShape(shape, codes.size(), packed.size());
  const std::byte* tile = packed.data();
  for (uint32_t k = 0; k < shape.num_inputs; k += kTileInputs, tile += TileBytes(shape.bits)) {
    ForEachOwned([&](uint32_t index, uint32_t output, uint32_t input) {
      uint8_t* row = codes.data() + output * shape.stride + k;
      uint32_t words[2];
      if (shape.bits == 4) {
        uint32_t word;
        std::memcpy(&word, tile + index * sizeof(word), sizeof(word));
        words[0] = FromNibbles(word);
        words[1] = FromNibbles(word >> 8);
      } else {
        std::memcpy(words, tile + index * sizeof(words), sizeof(words));
      }
      ScatterRows(words[0], row, input);
      ScatterRows(words[1], row + 8 * shape.stride, input);
    });
  }
}

}  // namespace spearfish
