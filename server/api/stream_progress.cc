#include "server/api/stream_progress.h"

#include <utility>

#include "server/dispatch/route_key.h"

namespace spearfish::server {

StreamProgress::StreamProgress(v1::GenerateStreamRequest request)
    : request_(std::move(request)), sequences_(NumSequences(request_)) {
  const v1::Resume& resume = request_.resume();
  // Otherwise the worker refuses it.
  if (static_cast<size_t>(resume.sequences_size()) != sequences_.size()) return;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const v1::ResumedSequence& from = resume.sequences(static_cast<int>(i));
    sequences_[i] = {.generated = {from.generated_ids().begin(), from.generated_ids().end()},
                     .finished = from.finished()};
    num_finished_ += from.finished() ? 1 : 0;
  }
}

bool StreamProgress::Note(const v1::GenerateStreamResponse& message) {
  begun_ = true;
  if (message.has_prompt_info()) return !std::exchange(prompt_delivered_, true);
  if (message.has_delta()) NoteDelta(message.delta());
  if (message.has_finish() && message.finish().index() < sequences_.size()) {
    Sequence& sequence = sequences_[message.finish().index()];
    num_finished_ += sequence.finished ? 0 : 1;
    sequence.finished = true;
  }
  return true;
}

void StreamProgress::NoteDelta(const v1::Delta& delta) {
  num_tokens_ += static_cast<uint64_t>(delta.token_ids_size());
  // Text without a token is what an abort flushes: it follows from no tokens.
  if (delta.index() >= sequences_.size() || delta.token_ids().empty()) resumable_ = false;
  if (num_tokens_ > kMaxResumableTokens) resumable_ = false;
  if (!resumable_) return;
  std::vector<uint32_t>& generated = sequences_[delta.index()].generated;
  generated.insert(generated.end(), delta.token_ids().begin(), delta.token_ids().end());
}

const v1::GenerateStreamRequest& StreamProgress::NextRequest() {
  if (!begun()) return request_;
  if (prompt_delivered_) request_.mutable_output()->clear_prompt_logprobs();
  v1::Resume& resume = *request_.mutable_resume();
  resume.Clear();
  for (const Sequence& sequence : sequences_) {
    v1::ResumedSequence& to = *resume.add_sequences();
    to.mutable_generated_ids()->Add(sequence.generated.begin(), sequence.generated.end());
    to.set_finished(sequence.finished);
  }
  return request_;
}

}  // namespace spearfish::server
