// What a caller asks of the engine, and what it gets back. No protobuf here: worker/rpc converts.
#ifndef WORKER_ENGINE_REQUEST_H_
#define WORKER_ENGINE_REQUEST_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/ids.h"

namespace spearfish::worker {

// Fully resolved: the checkpoint's defaults are already filled in.
struct SamplingParams {
  float temperature = 0.0f;  // 0 = greedy
  float top_p = 1.0f;
  float min_p = 0.0f;
  uint32_t top_k = 0;  // 0 = all
  uint64_t seed = 0;   // chosen at random by the caller when the client gave none
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  float repetition_penalty = 1.0f;
  std::map<TokenId, float> logit_bias;
};

struct StoppingParams {
  uint32_t max_tokens = 0;  // 0, or more than there is room for = up to the model's length
  // Stop ids and end-of-sequence ids are banned before so many tokens are generated, and a stop
  // string that ends before is text like any other.
  uint32_t min_tokens = 0;
  std::vector<TokenId> stop_token_ids;
  std::vector<std::string> stop_strings;
  bool ignore_eos = false;
};

struct OutputParams {
  std::optional<uint32_t> logprobs;         // top-n per generated token; 0 = only the token's own
  std::optional<uint32_t> prompt_logprobs;  // likewise for prompt tokens 1..
  bool text = false;                        // detokenise
  bool include_stop_string = false;
};

// What another worker generated of a sequence before it was lost.
struct ResumedSequence {
  std::vector<TokenId> generated;
  bool finished = false;  // over and told: it is left alone
};

struct GenerationRequest {
  std::string request_id;  // unique among the live ones
  std::vector<TokenId> prompt;
  uint32_t num_sequences = 1;  // sampled independently: sequence i uses seed + i
  SamplingParams sampling;
  StoppingParams stopping;
  OutputParams output;
  int32_t priority = 0;  // larger first among the waiting
  absl::Time deadline = absl::InfiniteFuture();
  // One per sequence, or none when the request is new. The tokens count as generated but are sent
  // in no event, nor is the text that they make certain.
  std::vector<ResumedSequence> resumed;

  // Sequences that will have a SequenceFinished.
  uint32_t num_unfinished() const {
    return num_sequences -
           static_cast<uint32_t>(std::count_if(resumed.begin(), resumed.end(),
                                               [](const auto& one) { return one.finished; }));
  }
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

// Of one position: the token itself, its rank (1 = most likely), and the top n.
struct PositionLogprobs {
  TokenLogprob chosen;
  uint32_t rank = 0;
  std::vector<TokenLogprob> top;
};

// First event of a request, once, when its prompt has been computed; does not come when the request
// ends before that. (A resumed request with a sequence that was over already has it at once.)
struct PromptDone {
  uint32_t num_prompt_tokens = 0;
  uint32_t num_cached_tokens = 0;
  std::vector<PositionLogprobs> logprobs;  // [num_prompt_tokens - 1] when asked for
  absl::Duration queued;                   // from Submit to the first step
};

// New tokens of sequence `index`. Text may lag behind the tokens (half characters, possible stop
// strings are held back) and is complete at the end.
struct TokensDelta {
  uint32_t index = 0;
  std::vector<TokenId> token_ids;
  std::string text;
  std::vector<PositionLogprobs> logprobs;  // one per token when asked for
};

enum class FinishReason { kStop, kLength, kAborted };

struct StopTokenMatch {
  TokenId id;
};
struct EosTokenMatch {
  TokenId id;
};
struct StopStringMatch {
  std::string text;
};

struct ExpertUsage {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t link_bytes = 0;
  uint64_t cpu_bytes = 0;
};

// Last event of sequence `index`. A stop or end-of-sequence token is among the token_ids and the
// usage, but not in the text.
struct SequenceFinished {
  uint32_t index = 0;
  FinishReason reason = FinishReason::kStop;
  std::variant<std::monostate, StopTokenMatch, EosTokenMatch, StopStringMatch> matched;
  uint32_t num_prompt_tokens = 0;
  uint32_t num_completion_tokens = 0;
  uint32_t num_cached_tokens = 0;
  ExpertUsage experts;
};

// The request is over with an error; no event follows (deadline, drain, internal).
struct RequestFailed {
  absl::Status status;
};

using EngineEvent = std::variant<PromptDone, TokensDelta, SequenceFinished, RequestFailed>;

// Called on the engine thread, in order; must not block. After the last SequenceFinished, or
// RequestFailed, it is never called again and is destroyed.
using EventSink = std::function<void(EngineEvent event)>;

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_REQUEST_H_
