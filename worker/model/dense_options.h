// What becomes of the weights that are no experts.
#ifndef WORKER_MODEL_DENSE_OPTIONS_H_
#define WORKER_MODEL_DENSE_OPTIONS_H_

#include <cstdint>

namespace spearfish::worker {

struct DenseOptions {
  uint32_t bits = 16;        // of projections: 16 as in the checkpoint, 8 quantised
  uint32_t num_threads = 0;  // that quantise; 0 = all cores
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_DENSE_OPTIONS_H_
