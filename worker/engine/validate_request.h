// The bounds of every request parameter: those of proto/spearfish/v1/inference.proto.
#ifndef WORKER_ENGINE_VALIDATE_REQUEST_H_
#define WORKER_ENGINE_VALIDATE_REQUEST_H_

#include <cstdint>

#include "absl/status/status.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

inline constexpr uint32_t kMaxRequestIdBytes = 256;
inline constexpr uint32_t kMaxNumSequences = 64;
inline constexpr uint32_t kMaxStopTokenIds = 256;
inline constexpr uint32_t kMaxStopStrings = 64;
inline constexpr uint32_t kMaxStopStringBytes = 1024;
inline constexpr uint32_t kMaxLogprobs = 64;

struct RequestLimits {
  uint32_t vocab_size = 0;
  // Prompt and generated tokens of one sequence: the model's length, or what the whole KV cache
  // holds if that is less. A prompt may have one less: a token has to fit after it.
  uint32_t max_sequence_tokens = 0;
  // End-of-sequence ids: min_tokens bans them, and bans share the room of the logit biases.
  uint32_t num_eos_ids = 0;
};

// Tokens that the request may generate at most: what it asks for, or what there is room for.
uint32_t ResolvedMaxTokens(const GenerationRequest& request, const RequestLimits& limits);

// InvalidArgument that names the first field found out of bounds, its value and the bound. Sizes
// are looked at before contents, so an oversized request costs no more than a small one.
absl::Status ValidateRequest(const GenerationRequest& request, const RequestLimits& limits);

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_VALIDATE_REQUEST_H_
