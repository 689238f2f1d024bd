// How MoeArgs::workspace is divided.
#ifndef KERNELS_CPU_MOE_WORKSPACE_H_
#define KERNELS_CPU_MOE_WORKSPACE_H_

#include <cstdint>

#include "kernels/api/expert_layout.h"
#include "kernels/cpu/moe_slice.h"

namespace spearfish::kernels {

// Rows worked on at once: bounds the workspace, and large enough that a chunk of a long prompt
// gives each of 256 experts 16 rows at top-8, so that weights are read once for many rows.
inline constexpr uint32_t kMoeChunkRows = 512;

// Up to this many rows, slices of one expert are separate work units with outputs of their own: few
// experts are chosen then, and threads would run out of work. A fact of the call, not of the number
// of threads; the bits are the same either way.
inline constexpr uint32_t kMoeSplitRows = 16;

// Rows begin .. begin + count of the pairs in expert order, all of one expert.
struct MoeUnit {
  uint32_t expert;
  uint32_t begin;
  uint32_t count;
};

// Views into the workspace; owns nothing. bytes is what it needs, pointers are null when `base` is.
struct MoeWorkspace {
  MoeWorkspace(const ExpertLayout& layout, uint32_t num_rows, uint32_t k, void* base);

  QuantizedRow Row(uint32_t row) const;

  int16_t* values = nullptr;  // [rows, hidden]
  int32_t* sums = nullptr;    // [rows, hidden / w13_group, 4]
  float* scales = nullptr;    // [rows, hidden / w13_group]
  uint64_t* pairs = nullptr;  // [rows * k]: expert << 32 | (row * k + choice), ascending
  MoeUnit* units = nullptr;   // [rows * k]
  float* partials = nullptr;  // [rows * k, 1 or num_slices, hidden], tile order
  uint64_t bytes = 0;

 private:
  uint32_t hidden_;
  uint32_t groups_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_MOE_WORKSPACE_H_
