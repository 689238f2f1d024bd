// The Marlin permutation rebuilt from its definition, independent of common/expert_cache.
#ifndef TESTS_UNIT_EXPERT_CACHE_MARLIN_PERMUTATION_H_
#define TESTS_UNIT_EXPERT_CACHE_MARLIN_PERMUTATION_H_

#include <cstdint>
#include <vector>

namespace spearfish::tests {

// A position inside a tile of 16 inputs x 64 outputs.
struct TilePosition {
  uint32_t input;
  uint32_t output;
};

// [1024]: which weight of a tile its p-th stored code is, codes counted from the low bits of the
// first uint32 up: the permutation with the interleaving of its bit width.
std::vector<TilePosition> MarlinPermutation(uint32_t bits);

// [64]: which output's scale stands at each position.
std::vector<uint32_t> MarlinScalePermutation();

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_EXPERT_CACHE_MARLIN_PERMUTATION_H_
