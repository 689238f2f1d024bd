#include "worker/rpc/event_conversion.h"

#include <utility>
#include <variant>
#include <vector>

namespace spearfish::worker {
namespace {

void Fill(const TokenLogprob& from, const Tokenizer* tokenizer, v1::TokenLogprob& to) {
  to.set_token_id(from.token);
  to.set_logprob(from.logprob);
  if (tokenizer == nullptr) return;
  const absl::StatusOr<absl::string_view> bytes = tokenizer->TokenBytes(from.token);
  if (bytes.ok()) to.set_token_bytes(bytes->data(), bytes->size());
}

void Fill(const std::vector<PositionLogprobs>& from, const Tokenizer* tokenizer,
          google::protobuf::RepeatedPtrField<v1::PositionLogprobs>& to) {
  to.Reserve(static_cast<int>(from.size()));
  for (const PositionLogprobs& position : from) {
    v1::PositionLogprobs& out = *to.Add();
    Fill(position.chosen, tokenizer, *out.mutable_chosen());
    out.set_rank(position.rank);
    for (const TokenLogprob& top : position.top) Fill(top, tokenizer, *out.add_top());
  }
}

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kAborted:
      return v1::FINISH_REASON_ABORTED;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

struct FillMatched {
  v1::Finish& out;
  void operator()(std::monostate) const {}
  void operator()(const StopTokenMatch& match) const { out.set_stop_token_id(match.id); }
  void operator()(const EosTokenMatch& match) const { out.set_eos_token_id(match.id); }
  void operator()(const StopStringMatch& match) const { out.set_stop_string(match.text); }
};

}  // namespace

v1::PromptInfo ToProto(const PromptDone& prompt, const EventDetail& detail) {
  v1::PromptInfo out;
  out.set_request_id(detail.request_id);
  out.set_begins_in_reasoning(detail.begins_in_reasoning);
  out.set_num_prompt_tokens(prompt.num_prompt_tokens);
  out.set_num_cached_tokens(prompt.num_cached_tokens);
  Fill(prompt.logprobs, detail.tokenizer, *out.mutable_prompt_logprobs());
  return out;
}

v1::Delta ToProto(TokensDelta delta, const EventDetail& detail) {
  v1::Delta out;
  out.set_index(delta.index);
  out.mutable_token_ids()->Add(delta.token_ids.begin(), delta.token_ids.end());
  out.set_text(std::move(delta.text));
  Fill(delta.logprobs, detail.tokenizer, *out.mutable_logprobs());
  return out;
}

v1::Finish ToProto(const SequenceFinished& finished) {
  v1::Finish out;
  out.set_index(finished.index);
  out.set_finish_reason(ToProto(finished.reason));
  std::visit(FillMatched{out}, finished.matched);
  out.mutable_usage()->set_prompt_tokens(finished.num_prompt_tokens);
  out.mutable_usage()->set_completion_tokens(finished.num_completion_tokens);
  out.mutable_usage()->set_cached_tokens(finished.num_cached_tokens);
  out.mutable_experts()->set_hits(finished.experts.hits);
  out.mutable_experts()->set_misses(finished.experts.misses);
  out.mutable_experts()->set_link_bytes(finished.experts.link_bytes);
  out.mutable_experts()->set_cpu_bytes(finished.experts.cpu_bytes);
  return out;
}

void MergeDelta(v1::Delta from, v1::Delta& into) {
  into.mutable_token_ids()->MergeFrom(from.token_ids());
  into.mutable_text()->append(from.text());
  for (v1::PositionLogprobs& position : *from.mutable_logprobs()) {
    *into.add_logprobs() = std::move(position);
  }
}

}  // namespace spearfish::worker
