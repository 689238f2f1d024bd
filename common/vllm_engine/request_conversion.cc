#include "common/vllm_engine/request_conversion.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::vllm_engine {
namespace {

// As in vLLM.
constexpr int32_t kRandomSeed = -1;

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("invalid request: ", field, " ", what));
}

absl::Status CheckAtLeast(absl::string_view field, int32_t value, int32_t least) {
  if (value >= least) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value, " is less than ", least));
}

absl::Status CheckUnconstrained(const wire::SamplingParams& params) {
  if (params.constraint_case() == wire::SamplingParams::CONSTRAINT_NOT_SET) {
    return absl::OkStatus();
  }
  const auto* const constraint = params.GetDescriptor()->FindOneofByName("constraint");
  const std::string& name =
      params.GetReflection()->GetOneofFieldDescriptor(params, constraint)->name();
  return Invalid(absl::StrCat("sampling_params.", name),
                 "is set; constrained decoding is not supported, leave it out");
}

absl::Status SetLogitBias(const wire::SamplingParams& params, v1::Sampling& out) {
  for (const auto& [id, bias] : params.logit_bias()) {
    SF_RETURN_IF_ERROR(CheckAtLeast("sampling_params.logit_bias key", id, 0));
    (*out.mutable_logit_bias())[static_cast<uint32_t>(id)] = bias;
  }
  return absl::OkStatus();
}

absl::Status SetSampling(const wire::SamplingParams& params, v1::Sampling& out) {
  if (params.has_temperature()) out.set_temperature(params.temperature());
  if (params.top_p() != 0) out.set_top_p(params.top_p());
  if (params.top_k() != 0) out.set_top_k(params.top_k());
  if (params.repetition_penalty() != 0) out.set_repetition_penalty(params.repetition_penalty());
  out.set_min_p(params.min_p());
  out.set_frequency_penalty(params.frequency_penalty());
  out.set_presence_penalty(params.presence_penalty());
  if (params.has_seed() && params.seed() != kRandomSeed) {
    out.set_seed(static_cast<uint64_t>(int64_t{params.seed()}));
  }
  out.set_num_sequences(params.n());
  return SetLogitBias(params, out);
}

void SetStopping(const wire::SamplingParams& params, v1::Stopping& out) {
  if (params.has_max_tokens()) out.set_max_tokens(params.max_tokens());
  if (params.min_tokens() != 0) out.set_min_tokens(params.min_tokens());
  *out.mutable_stop_strings() = params.stop();
  *out.mutable_stop_token_ids() = params.stop_token_ids();
  out.set_ignore_eos(params.ignore_eos());
}

absl::Status SetOutput(const wire::SamplingParams& params, v1::Output& out) {
  if (params.has_logprobs()) {
    SF_RETURN_IF_ERROR(CheckAtLeast("sampling_params.logprobs", params.logprobs(), 0));
    out.set_logprobs(static_cast<uint32_t>(params.logprobs()));
  }
  if (params.has_prompt_logprobs()) {
    SF_RETURN_IF_ERROR(
        CheckAtLeast("sampling_params.prompt_logprobs", params.prompt_logprobs(), 0));
    out.set_prompt_logprobs(static_cast<uint32_t>(params.prompt_logprobs()));
  }
  out.set_include_stop_string(params.include_stop_str_in_output());
  return absl::OkStatus();
}

absl::Status SetPrompt(const wire::GenerateRequest& request, v1::GenerateStreamRequest& out) {
  switch (request.input_case()) {
    case wire::GenerateRequest::kTokenized: {
      v1::TokenIds ids;
      *ids.mutable_ids() = request.tokenized().input_ids();
      SetTokenIds(request, std::move(ids), out);
      return absl::OkStatus();
    }
    case wire::GenerateRequest::kText:
      out.set_text(request.text());
      return absl::OkStatus();
    case wire::GenerateRequest::INPUT_NOT_SET:
      break;
  }
  return Invalid("input", "is not set; set `tokenized` or `text`");
}

}  // namespace

absl::StatusOr<v1::GenerateStreamRequest> ToGenerateStreamRequest(
    const wire::GenerateRequest& request) {
  const wire::SamplingParams& params = request.sampling_params();
  if (request.data_parallel_rank() != 0) {
    return Invalid("data_parallel_rank", absl::StrCat(request.data_parallel_rank(),
                                                      " does not exist; leave it out or send 0"));
  }
  SF_RETURN_IF_ERROR(CheckUnconstrained(params));
  if (params.has_truncate_prompt_tokens()) {
    SF_RETURN_IF_ERROR(
        CheckAtLeast("sampling_params.truncate_prompt_tokens", params.truncate_prompt_tokens(), 1));
  }
  v1::GenerateStreamRequest out;
  out.set_request_id(request.request_id());
  SF_RETURN_IF_ERROR(SetSampling(params, *out.mutable_sampling()));
  SetStopping(params, *out.mutable_stopping());
  SF_RETURN_IF_ERROR(SetOutput(params, *out.mutable_output()));
  SF_RETURN_IF_ERROR(SetPrompt(request, out));
  return out;
}

bool NeedsTokenIds(const wire::GenerateRequest& request) {
  const wire::SamplingParams& params = request.sampling_params();
  return request.has_text() &&
         (params.has_truncate_prompt_tokens() || params.has_prompt_logprobs());
}

void SetTokenIds(const wire::GenerateRequest& request, v1::TokenIds ids,
                 v1::GenerateStreamRequest& converted) {
  const wire::SamplingParams& params = request.sampling_params();
  const int kept = params.truncate_prompt_tokens();
  if (params.has_truncate_prompt_tokens() && ids.ids_size() > kept) {
    ids.mutable_ids()->erase(ids.ids().begin(), ids.ids().end() - kept);
  }
  *converted.mutable_token_ids() = std::move(ids);
}

}  // namespace spearfish::vllm_engine
