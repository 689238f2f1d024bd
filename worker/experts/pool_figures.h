// What the pool holds and has done, for status and metrics.
#ifndef WORKER_EXPERTS_POOL_FIGURES_H_
#define WORKER_EXPERTS_POOL_FIGURES_H_

#include <cstdint>
#include <vector>

namespace spearfish::worker {

// Bytes moved for one purpose, and the seconds in which such copies were on their way.
struct TransferFigures {
  uint64_t count = 0;  // records; for reclaims frames
  uint64_t bytes = 0;
  double seconds = 0;
};

struct LayerFigures {
  uint32_t resident = 0;  // experts of the layer in a slot
  uint64_t hits = 0;      // routed activations that a slot served
  uint64_t misses = 0;
};

// The frames of the arena by what they are used for now; they add up to the arena.
struct FrameFigures {
  uint32_t hard_slots = 0;
  uint32_t soft_slots = 0;
  uint32_t kv = 0;
  uint32_t workspace = 0;
  uint32_t unused = 0;
};

struct PoolFigures {
  FrameFigures frames;
  uint64_t frame_bytes = 0;
  uint64_t num_records = 0;    // experts of all layers
  uint64_t num_resident = 0;   // of them, those that the address table leads to a slot
  uint64_t num_loading = 0;    // copies queued or on their way
  TransferFigures loads;       // at start
  TransferFigures reclaims;    // frames taken from the experts; no bytes move
  TransferFigures reloads;     // refilling after a reclaim
  TransferFigures promotions;  // swaps
  uint64_t cancelled_loads = 0;
  uint64_t extra_host_bytes = 0;     // host memory that the pool allocated, tables included
  std::vector<LayerFigures> layers;  // [num_moe_layers]

  double coverage() const {
    return num_records == 0 ? 0
                            : static_cast<double>(num_resident) / static_cast<double>(num_records);
  }
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_POOL_FIGURES_H_
