// One model on one device: weights, and a forward pass over a batch of sequence pieces.
#ifndef WORKER_MODEL_MODEL_H_
#define WORKER_MODEL_MODEL_H_

#include <cstdint>

#include "common/config/generation_config.h"
#include "common/config/model_config.h"

namespace spearfish::worker {

// To be filled by the model's author: weights, KV cache, Forward(step).
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;
  virtual const GenerationConfig& generation_config() const = 0;
  // Tokens of prompt and output together that one sequence may have.
  virtual uint32_t max_model_len() const = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_MODEL_H_
