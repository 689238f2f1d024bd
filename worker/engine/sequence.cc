#include "worker/engine/sequence.h"

#include <utility>
#include <variant>

#include "common/base/check.h"

namespace spearfish::worker {

Sequence::Sequence(LiveRequest& owner, const PreparedRequest& request, uint32_t index,
                   BlockTable blocks, const Tokenizer& tokenizer)
    : owner_(owner), request_(request), index_(index), blocks_(std::move(blocks)) {
  if (!request.needs_text()) return;
  text_.emplace(tokenizer, request.stop_strings(),
                request.request().output.include_stop_string ? StopStringOutput::kInclude
                                                             : StopStringOutput::kDrop);
}

SequenceLoad Sequence::load() const {
  return {num_tokens(), num_computed_, static_cast<uint32_t>(blocks_.blocks().size())};
}

std::optional<SequenceEnd> Sequence::Resume() {
  std::string sent_before;
  for (const TokenId token : request_.resumed_tokens(index_)) {
    ++num_generated_;
    std::optional<SequenceEnd> end = FindEnd(token, sent_before);
    if (end) return end;
    sent_before.clear();
  }
  return std::nullopt;
}

void Sequence::Admit() {
  if (!tokens_.empty()) return;
  const std::span<const TokenId> resumed = request_.resumed_tokens(index_);
  tokens_ = request_.request().prompt;
  tokens_.insert(tokens_.end(), resumed.begin(), resumed.end());
}

void Sequence::Reserve(uint32_t kv_tokens) { SF_CHECK(blocks_.Grow(kv_tokens)); }

void Sequence::Preempt() {
  blocks_.Clear();
  num_computed_ = 0;
}

kernels::SampleRow Sequence::Sampling() const {
  const SamplingParams& params = request_.request().sampling;
  kernels::SampleRow row;
  row.temperature = params.temperature;
  row.top_p = params.top_p;
  row.min_p = params.min_p;
  row.top_k = params.top_k;
  row.presence_penalty = params.presence_penalty;
  row.frequency_penalty = params.frequency_penalty;
  row.repetition_penalty = params.repetition_penalty;
  row.seed = params.seed + index_;
  row.counter = num_generated_;
  return row;
}

std::optional<SequenceEnd> Sequence::Accept(TokenId token, std::string& text) {
  tokens_.push_back(token);
  ++num_generated_;
  std::optional<SequenceEnd> end = FindEnd(token, text);
  // A stop string has ended the text already.
  if (end && !std::holds_alternative<StopStringMatch>(end->matched)) FlushText(text);
  return end;
}

void Sequence::FlushText(std::string& text) {
  if (text_) text_->Flush(text);
}

std::optional<SequenceEnd> Sequence::FindEnd(TokenId token, std::string& text) {
  PreparedRequest::StopMatch matched = request_.MatchStopId(token, num_generated_ - 1);
  if (!std::holds_alternative<std::monostate>(matched)) {
    return SequenceEnd{FinishReason::kStop, std::move(matched)};
  }
  if (text_) {
    const bool too_early = num_generated_ < request_.request().stopping.min_tokens;
    const std::optional<size_t> stop =
        text_->Append(token, too_early ? StopMode::kIgnore : StopMode::kStop, text);
    if (stop) {
      return SequenceEnd{FinishReason::kStop,
                         StopStringMatch{request_.stop_strings().string(*stop)}};
    }
  }
  if (num_generated_ < request_.max_tokens()) return std::nullopt;
  return SequenceEnd{FinishReason::kLength, std::monostate()};
}

}  // namespace spearfish::worker
