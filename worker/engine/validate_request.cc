#include "worker/engine/validate_request.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/utf8.h"
#include "worker/model/model.h"

namespace spearfish::worker {
namespace {

absl::Status OutOfRange(absl::string_view field, const absl::AlphaNum& value,
                        const absl::AlphaNum& bound) {
  return absl::InvalidArgumentError(
      absl::StrCat("parameter out of range: ", field, " is ", value, ", must be ", bound));
}

absl::Status AtMost(absl::string_view field, uint64_t value, uint64_t bound) {
  if (value <= bound) return absl::OkStatus();
  return OutOfRange(field, value, absl::StrCat("at most ", bound));
}

enum class LowEnd { kIncluded, kExcluded };

// NaN is outside of every range.
absl::Status InRange(absl::string_view field, float value, float low, float high,
                     LowEnd low_end = LowEnd::kIncluded) {
  const bool above = low_end == LowEnd::kIncluded ? value >= low : value > low;
  if (above && value <= high) return absl::OkStatus();
  const char* bracket = low_end == LowEnd::kIncluded ? "[" : "(";
  return OutOfRange(field, value, absl::StrCat("in ", bracket, low, ", ", high, "]"));
}

absl::Status InVocabulary(absl::string_view field, TokenId id, uint32_t vocab_size) {
  if (id < vocab_size) return absl::OkStatus();
  return OutOfRange(field, absl::StrCat("token ", id),
                    absl::StrCat("below the vocabulary size ", vocab_size));
}

absl::Status ValidatePrompt(const GenerationRequest& request, const RequestLimits& limits) {
  if (request.prompt.empty()) {
    return OutOfRange("prompt", "0 tokens long", "at least 1 token long");
  }
  if (request.prompt.size() >= limits.max_sequence_tokens) {
    return OutOfRange("prompt", absl::StrCat(request.prompt.size(), " tokens long"),
                      absl::StrCat("at most ", limits.max_sequence_tokens - 1,
                                   " tokens long: prompt and output "
                                   "together have room for ",
                                   limits.max_sequence_tokens));
  }
  const auto bad = std::find_if(request.prompt.begin(), request.prompt.end(),
                                [&](TokenId id) { return id >= limits.vocab_size; });
  if (bad == request.prompt.end()) return absl::OkStatus();
  return InVocabulary(absl::StrCat("prompt[", bad - request.prompt.begin(), "]"), *bad,
                      limits.vocab_size);
}

// What was generated elsewhere has to be what this request could have generated.
absl::Status ValidateResumed(const GenerationRequest& request, const RequestLimits& limits) {
  if (request.resumed.empty()) return absl::OkStatus();
  if (request.resumed.size() != request.num_sequences) {
    return OutOfRange("the size of resume.sequences", request.resumed.size(),
                      absl::StrCat("num_sequences, ", request.num_sequences));
  }
  if (request.num_unfinished() == 0) {
    return OutOfRange("resume.sequences", "all finished", "at least one unfinished");
  }
  const uint32_t max_tokens = ResolvedMaxTokens(request, limits);
  for (size_t i = 0; i < request.resumed.size(); ++i) {
    const std::vector<TokenId>& ids = request.resumed[i].generated;
    const std::string field = absl::StrCat("resume.sequences[", i, "].generated_ids");
    SF_RETURN_IF_ERROR(AtMost(absl::StrCat("the size of ", field), ids.size(), max_tokens));
    const auto bad =
        std::find_if(ids.begin(), ids.end(), [&](TokenId id) { return id >= limits.vocab_size; });
    if (bad != ids.end()) return InVocabulary(field, *bad, limits.vocab_size);
  }
  return absl::OkStatus();
}

absl::Status ValidateLogitBias(const SamplingParams& sampling, const RequestLimits& limits) {
  SF_RETURN_IF_ERROR(
      AtMost("the size of sampling.logit_bias", sampling.logit_bias.size(), kMaxLogitBiases));
  for (const auto& [id, bias] : sampling.logit_bias) {
    SF_RETURN_IF_ERROR(InVocabulary("sampling.logit_bias key", id, limits.vocab_size));
    SF_RETURN_IF_ERROR(InRange(absl::StrCat("sampling.logit_bias[", id, "]"), bias, -100, 100));
  }
  return absl::OkStatus();
}

absl::Status ValidateSampling(const SamplingParams& sampling, const RequestLimits& limits) {
  SF_RETURN_IF_ERROR(InRange("sampling.temperature", sampling.temperature, 0, 100));
  SF_RETURN_IF_ERROR(InRange("sampling.top_p", sampling.top_p, 0, 1, LowEnd::kExcluded));
  SF_RETURN_IF_ERROR(InRange("sampling.min_p", sampling.min_p, 0, 1));
  SF_RETURN_IF_ERROR(InRange("sampling.presence_penalty", sampling.presence_penalty, -2, 2));
  SF_RETURN_IF_ERROR(InRange("sampling.frequency_penalty", sampling.frequency_penalty, -2, 2));
  SF_RETURN_IF_ERROR(InRange("sampling.repetition_penalty", sampling.repetition_penalty, 0, 100,
                             LowEnd::kExcluded));
  return ValidateLogitBias(sampling, limits);
}

// Whole characters only: text is held back by the bytes of a stop string and has to stay whole.
absl::Status ValidateStopString(size_t i, const std::string& text) {
  const std::string field = absl::StrCat("stopping.stop_strings[", i, "]");
  if (text.empty() || text.size() > kMaxStopStringBytes) {
    return OutOfRange(field, absl::StrCat(text.size(), " bytes long"),
                      absl::StrCat("1 to ", kMaxStopStringBytes, " bytes long"));
  }
  const size_t valid = ValidUtf8Prefix(text);
  if (valid == text.size()) return absl::OkStatus();
  return OutOfRange(field, absl::StrCat("broken at byte ", valid), "valid UTF-8");
}

// A model takes kMaxLogitBiases biases a row, those that ban the stops among them.
absl::Status ValidateMinTokens(const GenerationRequest& request, const RequestLimits& limits) {
  const StoppingParams& stopping = request.stopping;
  if (stopping.min_tokens == 0) return absl::OkStatus();
  const uint32_t max_tokens = ResolvedMaxTokens(request, limits);
  if (stopping.min_tokens > max_tokens) {
    return OutOfRange("stopping.min_tokens", stopping.min_tokens,
                      absl::StrCat("at most ", max_tokens,
                                   ", the tokens that max_tokens and the model's length allow"));
  }
  const uint64_t num_eos_ids = stopping.ignore_eos ? 0 : limits.num_eos_ids;
  const uint64_t num_bans = stopping.stop_token_ids.size() + num_eos_ids;
  if (request.sampling.logit_bias.size() + num_bans <= kMaxLogitBiases) return absl::OkStatus();
  return OutOfRange("the size of sampling.logit_bias", request.sampling.logit_bias.size(),
                    absl::StrCat("at most ", kMaxLogitBiases - num_bans, ": min_tokens bans ",
                                 num_bans, " stop tokens"));
}

absl::Status ValidateStopping(const GenerationRequest& request, const RequestLimits& limits) {
  const StoppingParams& stopping = request.stopping;
  SF_RETURN_IF_ERROR(AtMost("the size of stopping.stop_token_ids", stopping.stop_token_ids.size(),
                            kMaxStopTokenIds));
  for (size_t i = 0; i < stopping.stop_token_ids.size(); ++i) {
    SF_RETURN_IF_ERROR(InVocabulary(absl::StrCat("stopping.stop_token_ids[", i, "]"),
                                    stopping.stop_token_ids[i], limits.vocab_size));
  }
  SF_RETURN_IF_ERROR(
      AtMost("the size of stopping.stop_strings", stopping.stop_strings.size(), kMaxStopStrings));
  for (size_t i = 0; i < stopping.stop_strings.size(); ++i) {
    SF_RETURN_IF_ERROR(ValidateStopString(i, stopping.stop_strings[i]));
  }
  return ValidateMinTokens(request, limits);
}

}  // namespace

uint32_t ResolvedMaxTokens(const GenerationRequest& request, const RequestLimits& limits) {
  const uint32_t room = limits.max_sequence_tokens - static_cast<uint32_t>(request.prompt.size());
  const uint32_t asked = request.stopping.max_tokens;
  return asked == 0 ? room : std::min(asked, room);
}

absl::Status ValidateRequest(const GenerationRequest& request, const RequestLimits& limits) {
  const size_t id_bytes = request.request_id.size();
  if (id_bytes == 0 || id_bytes > kMaxRequestIdBytes) {
    return OutOfRange("request_id", absl::StrCat(id_bytes, " bytes long"),
                      absl::StrCat("1 to ", kMaxRequestIdBytes, " bytes long"));
  }
  SF_RETURN_IF_ERROR(ValidatePrompt(request, limits));
  if (request.num_sequences < 1 || request.num_sequences > kMaxNumSequences) {
    return OutOfRange("sampling.num_sequences", request.num_sequences,
                      absl::StrCat("1 to ", kMaxNumSequences));
  }
  SF_RETURN_IF_ERROR(ValidateResumed(request, limits));
  SF_RETURN_IF_ERROR(ValidateSampling(request.sampling, limits));
  SF_RETURN_IF_ERROR(ValidateStopping(request, limits));
  SF_RETURN_IF_ERROR(AtMost("output.logprobs", request.output.logprobs.value_or(0), kMaxLogprobs));
  return AtMost("output.prompt_logprobs", request.output.prompt_logprobs.value_or(0), kMaxLogprobs);
}

}  // namespace spearfish::worker
