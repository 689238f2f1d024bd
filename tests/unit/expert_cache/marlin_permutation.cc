#include "tests/unit/expert_cache/marlin_permutation.h"

#include <cstddef>

namespace spearfish::tests {

// Of a 16x16 tile (row = input, col = output), thread i owns the rows that an m16n8k16 fragment
// gives it; four such tiles lie beside each other at a distance of 256 in the flat index.
std::vector<TilePosition> MarlinPermutation(uint32_t bits) {
  std::vector<uint32_t> flat;
  for (uint32_t i = 0; i < 32; ++i) {
    std::vector<uint32_t> of_thread;
    const uint32_t col = i / 4;
    for (uint32_t block = 0; block < 2; ++block) {
      for (const uint32_t row :
           {2 * (i % 4), 2 * (i % 4) + 1, 2 * (i % 4 + 4), 2 * (i % 4 + 4) + 1}) {
        of_thread.push_back(16 * row + col + 8 * block);
      }
    }
    for (uint32_t j = 0; j < 4; ++j) {
      for (const uint32_t p : of_thread) flat.push_back(p + 256 * j);
    }
  }
  const std::vector<uint32_t> interleave =
      bits == 4 ? std::vector<uint32_t>{0, 2, 4, 6, 1, 3, 5, 7} : std::vector<uint32_t>{0, 2, 1, 3};
  std::vector<TilePosition> permutation;
  for (size_t begin = 0; begin < flat.size(); begin += interleave.size()) {
    for (const uint32_t from : interleave) {
      const uint32_t p = flat[begin + from];
      permutation.push_back({.input = p % 256 / 16, .output = p / 256 * 16 + p % 16});
    }
  }
  return permutation;
}

std::vector<uint32_t> MarlinScalePermutation() {
  std::vector<uint32_t> permutation;
  for (uint32_t t = 0; t < 8; ++t) {
    for (uint32_t j = 0; j < 8; ++j) permutation.push_back(t + 8 * j);
  }
  return permutation;
}

}  // namespace spearfish::tests
