// One token stream of a request.
#ifndef WORKER_ENGINE_SEQUENCE_H_
#define WORKER_ENGINE_SEQUENCE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/tokenizer/tokenizer.h"
#include "kernels/api/kernels.h"
#include "worker/engine/engine_timings.h"
#include "worker/engine/prepared_request.h"
#include "worker/engine/request.h"
#include "worker/engine/scheduler.h"
#include "worker/engine/text_stream.h"
#include "worker/kv/block_table.h"

namespace spearfish::worker {

struct LiveRequest;

// Why a sequence is over.
struct SequenceEnd {
  FinishReason reason = FinishReason::kStop;
  PreparedRequest::StopMatch matched;
};

// The engine thread's. Its request, the tokenizer and the block allocator must outlive it.
// Invariants: the KV cache holds the first num_computed() of tokens(); while it lives at least one
// token is left to compute. A preempted sequence keeps its tokens and its text and computes the
// tokens again, which gives the same cache (batch invariance) and, as the random number of a token
// depends on its index alone, the same next tokens.
class Sequence {
 public:
  Sequence(LiveRequest& owner, const PreparedRequest& request, uint32_t index, BlockTable blocks,
           const Tokenizer& tokenizer);

  LiveRequest& owner() const { return owner_; }
  const PreparedRequest& request() const { return request_; }
  uint32_t index() const { return index_; }

  // Prompt, then generated. Empty before the first Admit: a long queue holds each prompt once.
  std::span<const TokenId> tokens() const { return tokens_; }
  uint32_t num_tokens() const { return request_.num_prompt_tokens() + num_generated_; }
  uint32_t num_generated() const { return num_generated_; }
  uint32_t num_computed() const { return num_computed_; }
  std::span<const uint32_t> blocks() const { return blocks_.blocks(); }
  SequenceLoad load() const;

  // Takes up what was generated elsewhere, before the first Admit. Returns the end when that was
  // all of it.
  std::optional<SequenceEnd> Resume();
  // Makes the tokens ready to compute.
  void Admit();
  // Makes room in the KV cache; the scheduler has seen to it that there are blocks.
  void Reserve(uint32_t kv_tokens);
  // Gives the blocks back; computes everything again after the next Admit.
  void Preempt();
  void AddComputed(uint32_t num_tokens) { num_computed_ += num_tokens; }

  // How to choose its next token; history and biases are the caller's to fill in.
  kernels::SampleRow Sampling() const;

  // The next token was chosen. Appends to `text` what became certain by it, all that is left at
  // the end. Returns the end when this was the last token.
  std::optional<SequenceEnd> Accept(TokenId token, std::string& text);
  // Appends the text that is held back when something else ends it.
  void FlushText(std::string& text);

  ExpertUsage& usage() { return usage_; }
  const ExpertUsage& usage() const { return usage_; }
  SequenceTimes& times() { return times_; }
  const SequenceTimes& times() const { return times_; }

 private:
  std::optional<SequenceEnd> FindEnd(TokenId token, std::string& text);

  LiveRequest& owner_;
  const PreparedRequest& request_;
  const uint32_t index_;
  std::vector<TokenId> tokens_;
  uint32_t num_generated_ = 0;
  uint32_t num_computed_ = 0;
  BlockTable blocks_;
  std::optional<TextStream> text_;  // when the request needs text
  ExpertUsage usage_;
  SequenceTimes times_;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_SEQUENCE_H_
