#include "worker/rpc/request_conversion.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "worker/rpc/chat_prompt.h"

namespace spearfish::worker {
namespace {

constexpr size_t kMaxRequestIdBytes = 256;
constexpr int kMaxLogitBiases = 1024;
constexpr int kMaxStopTokenIds = 256;
constexpr int kMaxStopStrings = 64;
constexpr size_t kMaxStopStringBytes = 1024;
constexpr uint32_t kMaxNumSequences = 64;
constexpr uint32_t kMaxLogprobs = 64;
constexpr float kMaxTemperature = 100.0f;
constexpr float kMaxPenalty = 2.0f;
constexpr float kMaxRepetitionPenalty = 100.0f;
constexpr float kMaxLogitBias = 100.0f;

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("invalid request: ", field, " ", what));
}

enum class LowerBound { kInclusive, kExclusive };

struct Range {
  float least;
  float most;
  LowerBound lower = LowerBound::kInclusive;
};

// NaN is in no range.
absl::Status CheckFloat(absl::string_view field, float value, Range range) {
  const bool exclusive = range.lower == LowerBound::kExclusive;
  const bool above = exclusive ? value > range.least : value >= range.least;
  if (above && value <= range.most) return absl::OkStatus();
  return Invalid(field, absl::StrFormat("%g is outside %s%g, %g]", value, exclusive ? "(" : "[",
                                        range.least, range.most));
}

absl::Status CheckAtMost(absl::string_view field, uint64_t value, uint64_t most) {
  if (value <= most) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value, " is more than ", most));
}

absl::Status CheckCount(absl::string_view field, uint64_t count, uint64_t most) {
  if (count <= most) return absl::OkStatus();
  return Invalid(field, absl::StrCat("has ", count, " entries, at most ", most));
}

absl::Status CheckTokenId(absl::string_view field, TokenId id, uint32_t vocab_size) {
  if (id < vocab_size) return absl::OkStatus();
  return Invalid(field, absl::StrCat(id, " is not below the vocabulary size ", vocab_size));
}

absl::Status SetLogitBias(const v1::Sampling& wire, uint32_t vocab_size, SamplingParams& out) {
  SF_RETURN_IF_ERROR(CheckCount("sampling.logit_bias", wire.logit_bias_size(), kMaxLogitBiases));
  for (const auto& [id, bias] : wire.logit_bias()) {
    SF_RETURN_IF_ERROR(CheckTokenId("sampling.logit_bias key", id, vocab_size));
    SF_RETURN_IF_ERROR(CheckFloat(absl::StrCat("sampling.logit_bias[", id, "]"), bias,
                                  {-kMaxLogitBias, kMaxLogitBias}));
    out.logit_bias[id] = bias;
  }
  return absl::OkStatus();
}

absl::Status SetPenalties(const v1::Sampling& wire, const GenerationConfig& defaults,
                          SamplingParams& out) {
  out.presence_penalty = wire.presence_penalty();
  out.frequency_penalty = wire.frequency_penalty();
  out.repetition_penalty =
      wire.has_repetition_penalty() ? wire.repetition_penalty() : defaults.repetition_penalty;
  SF_RETURN_IF_ERROR(
      CheckFloat("sampling.presence_penalty", out.presence_penalty, {-kMaxPenalty, kMaxPenalty}));
  SF_RETURN_IF_ERROR(
      CheckFloat("sampling.frequency_penalty", out.frequency_penalty, {-kMaxPenalty, kMaxPenalty}));
  return CheckFloat("sampling.repetition_penalty", out.repetition_penalty,
                    {0, kMaxRepetitionPenalty, LowerBound::kExclusive});
}

absl::Status SetSampling(const v1::Sampling& wire, const RequestContext& context, uint64_t seed,
                         GenerationRequest& out) {
  const GenerationConfig& defaults = context.defaults;
  SamplingParams& sampling = out.sampling;
  sampling.temperature = wire.has_temperature() ? wire.temperature() : defaults.temperature;
  sampling.top_p = wire.has_top_p() ? wire.top_p() : defaults.top_p;
  sampling.min_p = wire.has_min_p() ? wire.min_p() : defaults.min_p;
  sampling.top_k = wire.has_top_k() ? wire.top_k() : defaults.top_k;
  sampling.seed = wire.has_seed() ? wire.seed() : seed;
  SF_RETURN_IF_ERROR(
      CheckFloat("sampling.temperature", sampling.temperature, {0, kMaxTemperature}));
  SF_RETURN_IF_ERROR(CheckFloat("sampling.top_p", sampling.top_p, {0, 1, LowerBound::kExclusive}));
  SF_RETURN_IF_ERROR(CheckFloat("sampling.min_p", sampling.min_p, {0, 1}));
  SF_RETURN_IF_ERROR(SetPenalties(wire, defaults, sampling));
  SF_RETURN_IF_ERROR(SetLogitBias(wire, context.vocab_size, sampling));
  SF_RETURN_IF_ERROR(CheckAtMost("sampling.num_sequences", wire.num_sequences(), kMaxNumSequences));
  out.num_sequences = wire.num_sequences() == 0 ? 1 : wire.num_sequences();
  return absl::OkStatus();
}

absl::Status SetStopStrings(const v1::Stopping& wire, StoppingParams& out) {
  SF_RETURN_IF_ERROR(
      CheckCount("stopping.stop_strings", wire.stop_strings_size(), kMaxStopStrings));
  for (int i = 0; i < wire.stop_strings_size(); ++i) {
    const std::string& text = wire.stop_strings(i);
    const std::string field = absl::StrCat("stopping.stop_strings[", i, "]");
    if (text.empty()) return Invalid(field, "is empty; leave it out");
    if (text.size() > kMaxStopStringBytes) {
      return Invalid(field,
                     absl::StrCat("has ", text.size(), " bytes, at most ", kMaxStopStringBytes));
    }
    out.stop_strings.push_back(text);
  }
  return absl::OkStatus();
}

absl::Status SetStopping(const v1::Stopping& wire, uint32_t vocab_size, StoppingParams& out) {
  if (wire.has_max_tokens() && wire.max_tokens() == 0) {
    return Invalid("stopping.max_tokens", "0 is less than 1; leave it out for no limit");
  }
  out.max_tokens = wire.max_tokens();
  out.min_tokens = wire.min_tokens();
  if (out.max_tokens != 0) {
    SF_RETURN_IF_ERROR(CheckAtMost("stopping.min_tokens", out.min_tokens, out.max_tokens));
  }
  SF_RETURN_IF_ERROR(
      CheckCount("stopping.stop_token_ids", wire.stop_token_ids_size(), kMaxStopTokenIds));
  for (const TokenId id : wire.stop_token_ids()) {
    SF_RETURN_IF_ERROR(CheckTokenId("stopping.stop_token_ids", id, vocab_size));
    out.stop_token_ids.push_back(id);
  }
  out.ignore_eos = wire.ignore_eos();
  return SetStopStrings(wire, out);
}

absl::Status SetOutput(const v1::Output& wire, OutputParams& out) {
  SF_RETURN_IF_ERROR(CheckAtMost("output.logprobs", wire.logprobs(), kMaxLogprobs));
  SF_RETURN_IF_ERROR(CheckAtMost("output.prompt_logprobs", wire.prompt_logprobs(), kMaxLogprobs));
  if (wire.has_logprobs()) out.logprobs = wire.logprobs();
  if (wire.has_prompt_logprobs()) out.prompt_logprobs = wire.prompt_logprobs();
  out.text = wire.text();
  out.include_stop_string = wire.include_stop_string();
  return absl::OkStatus();
}

absl::Status CheckPromptLength(absl::string_view field, size_t num_tokens, uint32_t most) {
  if (num_tokens == 0) return Invalid(field, "is empty; at least 1 token");
  if (num_tokens <= most) return absl::OkStatus();
  return Invalid(field, absl::StrCat("has ", num_tokens, " tokens, the model takes at most ", most,
                                     "; shorten the prompt"));
}

absl::Status SetTokenIds(const v1::TokenIds& wire, const RequestContext& context,
                         GenerationRequest& out) {
  SF_RETURN_IF_ERROR(CheckPromptLength("token_ids", wire.ids_size(), context.max_model_len));
  for (int i = 0; i < wire.ids_size(); ++i) {
    if (wire.ids(i) >= context.vocab_size) {  // only now is the field's name worth building
      return CheckTokenId(absl::StrCat("token_ids[", i, "]"), wire.ids(i), context.vocab_size);
    }
  }
  out.prompt.assign(wire.ids().begin(), wire.ids().end());
  return absl::OkStatus();
}

absl::Status SetText(const std::string& text, const RequestContext& context,
                     GenerationRequest& out) {
  SF_ASSIGN_OR_RETURN(out.prompt, context.tokenizer.Encode(text, Tokenizer::SpecialTokens::kParse));
  out.output.text = true;
  return CheckPromptLength("text", out.prompt.size(), context.max_model_len);
}

absl::Status SetChat(const v1::Chat& chat, const RequestContext& context, GenerationRequest& out) {
  SF_ASSIGN_OR_RETURN(const std::string text, RenderChat(chat, context.chat_template));
  SF_RETURN_IF_ERROR(SetText(text, context, out));
  return absl::OkStatus();
}

template <typename Request>
absl::Status SetPrompt(const Request& request, const RequestContext& context,
                       GenerationRequest& out) {
  switch (request.prompt_case()) {
    case Request::kTokenIds:
      return SetTokenIds(request.token_ids(), context, out);
    case Request::kText:
      return SetText(request.text(), context, out);
    case Request::kChat:
      return SetChat(request.chat(), context, out);
    case Request::PROMPT_NOT_SET:
      break;
  }
  return Invalid("prompt", "is not set; set `text`, `chat` or `token_ids`");
}

// Log-probabilities of the prompt have been sent by the worker that began the request.
absl::Status SetResumed(const v1::Resume& wire, GenerationRequest& out) {
  SF_RETURN_IF_ERROR(CheckCount("resume.sequences", wire.sequences_size(), out.num_sequences));
  for (const v1::ResumedSequence& sequence : wire.sequences()) {
    out.resumed.push_back(
        {.generated = {sequence.generated_ids().begin(), sequence.generated_ids().end()},
         .finished = sequence.finished()});
  }
  out.output.prompt_logprobs.reset();
  return absl::OkStatus();
}

template <typename Request>
absl::StatusOr<GenerationRequest> Convert(const Request& request, const RequestContext& context,
                                          const RequestEntropy& entropy) {
  GenerationRequest out;
  if (request.request_id().size() > kMaxRequestIdBytes) {
    return Invalid("request_id", absl::StrCat("has ", request.request_id().size(),
                                              " bytes, at most ", kMaxRequestIdBytes));
  }
  out.request_id = request.request_id().empty() ? absl::StrFormat("req-%016x", entropy.request_id)
                                                : request.request_id();
  out.priority = request.priority();
  SF_RETURN_IF_ERROR(CheckModelName(request.model(), context.served_name));
  SF_RETURN_IF_ERROR(SetSampling(request.sampling(), context, entropy.seed, out));
  SF_RETURN_IF_ERROR(SetStopping(request.stopping(), context.vocab_size, out.stopping));
  SF_RETURN_IF_ERROR(SetOutput(request.output(), out.output));
  // Last: tokenising text is the only costly part.
  SF_RETURN_IF_ERROR(SetPrompt(request, context, out));
  return out;
}

}  // namespace

absl::StatusOr<GenerationRequest> ToGenerationRequest(const v1::GenerateRequest& request,
                                                      const RequestContext& context,
                                                      const RequestEntropy& entropy) {
  return Convert(request, context, entropy);
}

absl::StatusOr<GenerationRequest> ToGenerationRequest(const v1::GenerateStreamRequest& request,
                                                      const RequestContext& context,
                                                      const RequestEntropy& entropy) {
  SF_ASSIGN_OR_RETURN(GenerationRequest out, Convert(request, context, entropy));
  if (request.has_resume()) SF_RETURN_IF_ERROR(SetResumed(request.resume(), out));
  return out;
}

absl::Status CheckModelName(absl::string_view model, absl::string_view served_name) {
  if (model.empty() || model == served_name) return absl::OkStatus();
  constexpr size_t kShown = 128;  // a name is echoed, a flood is not
  return absl::NotFoundError(absl::StrCat("unknown model: \"",
                                          absl::Utf8SafeCHexEscape(model.substr(0, kShown)),
                                          "\"; this worker serves \"", served_name, "\""));
}

}  // namespace spearfish::worker
