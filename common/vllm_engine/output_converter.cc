#include "common/vllm_engine/output_converter.h"

#include <utility>

namespace spearfish::vllm_engine {
namespace {

using Positions = google::protobuf::RepeatedPtrField<v1::PositionLogprobs>;

bool HaveTop(const Positions& positions) {
  return !positions.empty() && positions[0].top_size() > 0;
}

void Fill(const v1::PositionLogprobs& position, wire::TopLogProbs& out) {
  for (const v1::TokenLogprob& top : position.top()) {
    out.add_values(top.logprob());
    out.add_token_ids(top.token_id());
  }
}

wire::OutputLogProbs ToOutputLogProbs(const Positions& positions) {
  wire::OutputLogProbs out;
  for (const v1::PositionLogprobs& position : positions) {
    out.add_token_logprobs(position.chosen().logprob());
    out.add_token_ids(position.chosen().token_id());
    if (HaveTop(positions)) Fill(position, *out.add_top_logprobs());
  }
  return out;
}

// All of the prompt: the first token has no log-probability.
wire::InputLogProbs ToInputLogProbs(uint32_t first_id, const Positions& positions) {
  wire::InputLogProbs out;
  out.add_token_logprobs();
  out.add_token_ids(first_id);
  if (HaveTop(positions)) out.add_top_logprobs();
  for (const v1::PositionLogprobs& position : positions) {
    out.add_token_logprobs()->set_value(position.chosen().logprob());
    out.add_token_ids(position.chosen().token_id());
    if (HaveTop(positions)) Fill(position, *out.add_top_logprobs());
  }
  return out;
}

const char* FinishReason(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return "stop";
    case v1::FINISH_REASON_LENGTH:
      return "length";
    default:
      return "abort";
  }
}

void Append(v1::Delta from, v1::Delta& to) {
  to.mutable_token_ids()->MergeFrom(from.token_ids());
  for (v1::PositionLogprobs& position : *from.mutable_logprobs()) {
    *to.add_logprobs() = std::move(position);
  }
}

}  // namespace

std::optional<wire::GenerateResponse> OutputConverter::Convert(v1::GenerateStreamResponse event) {
  switch (event.event_case()) {
    case v1::GenerateStreamResponse::kPromptInfo:
      Note(event.prompt_info());
      return std::nullopt;
    case v1::GenerateStreamResponse::kDelta:
      return Convert(std::move(*event.mutable_delta()));
    case v1::GenerateStreamResponse::kFinish:
      return Convert(event.finish());
    case v1::GenerateStreamResponse::EVENT_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

void OutputConverter::Note(const v1::PromptInfo& info) {
  num_prompt_tokens_ = info.num_prompt_tokens();
  num_cached_tokens_ = info.num_cached_tokens();
  if (first_prompt_id_) {
    input_logprobs_ = ToInputLogProbs(*first_prompt_id_, info.prompt_logprobs());
  }
}

std::optional<wire::GenerateResponse> OutputConverter::Convert(v1::Delta delta) {
  if (delta.token_ids().empty()) return std::nullopt;  // text that lagged behind its tokens
  Sequence& sequence = sequences_[delta.index()];
  if (mode_ == Mode::kWhole) {
    Append(std::move(delta), sequence.delta);
    return std::nullopt;
  }
  wire::GenerateResponse response;
  wire::GenerateStreamChunk& chunk = *response.mutable_chunk();
  *chunk.mutable_token_ids() = delta.token_ids();
  chunk.set_prompt_tokens(num_prompt_tokens_);
  chunk.set_completion_tokens(static_cast<uint32_t>(delta.token_ids_size()));
  chunk.set_cached_tokens(num_cached_tokens_);
  if (!delta.logprobs().empty()) {
    *chunk.mutable_output_logprobs() = ToOutputLogProbs(delta.logprobs());
  }
  if (!sequence.begun && input_logprobs_) *chunk.mutable_input_logprobs() = *input_logprobs_;
  chunk.set_index(delta.index());
  sequence.begun = true;
  sequence.delta = std::move(delta);
  return response;
}

wire::GenerateResponse OutputConverter::Convert(const v1::Finish& finish) {
  Sequence& sequence = sequences_[finish.index()];
  wire::GenerateResponse response;
  wire::GenerateComplete& complete = *response.mutable_complete();
  complete.mutable_output_ids()->Swap(sequence.delta.mutable_token_ids());
  complete.set_finish_reason(FinishReason(finish.finish_reason()));
  complete.set_prompt_tokens(num_prompt_tokens_);
  complete.set_completion_tokens(static_cast<uint32_t>(complete.output_ids_size()));
  complete.set_cached_tokens(num_cached_tokens_);
  if (!sequence.delta.logprobs().empty()) {
    *complete.mutable_output_logprobs() = ToOutputLogProbs(sequence.delta.logprobs());
  }
  if (!sequence.begun && input_logprobs_) *complete.mutable_input_logprobs() = *input_logprobs_;
  complete.set_index(finish.index());
  if (finish.has_stop_token_id()) complete.set_matched_token_id(finish.stop_token_id());
  if (finish.has_stop_string()) complete.set_matched_stop_str(finish.stop_string());
  return response;
}

}  // namespace spearfish::vllm_engine
