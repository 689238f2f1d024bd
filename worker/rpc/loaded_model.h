// What the services know of a model that is loaded and can be served.
#ifndef WORKER_RPC_LOADED_MODEL_H_
#define WORKER_RPC_LOADED_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/chat/chat_template.h"
#include "common/config/generation_config.h"
#include "common/config/model_config.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/engine/engine.h"
#include "worker/model/model.h"

namespace spearfish::worker {

// The expert cache as this process has it mapped.
struct MappedExpertCache {
  std::string segment_name;
  std::string identity;  // 64 hex digits
  uint64_t num_records = 0;
  uint64_t record_bytes = 0;
  uint32_t bits = 0;
  bool populated_here = false;
  std::span<const std::byte> mapping;
};

// Refers to objects that main owns and keeps until the RPC server has shut down. Immutable.
struct LoadedModel {
  Engine& engine;
  const Tokenizer& tokenizer;
  std::string served_name;
  ModelConfig config;
  GenerationConfig defaults;
  uint32_t max_model_len = 0;
  uint32_t max_running_sequences = 0;
  uint32_t kv_block_tokens = 0;
  MappedExpertCache experts;
  std::function<PoolFigures()> pool_figures;  // any thread
  // Or why the checkpoint has none that can be used. Null: as if there were none.
  const absl::StatusOr<std::unique_ptr<ChatTemplate>>* chat_template = nullptr;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_LOADED_MODEL_H_
