// Any bytes as a router's GenerateRequest: what converts says what was asked for, what doesn't says
// why; and as spearfish.v1's answers: every token comes out.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/check.h"
#include "common/vllm_engine/output_converter.h"
#include "common/vllm_engine/request_conversion.h"

namespace spearfish::vllm_engine {
namespace {

void CheckPrompt(const wire::GenerateRequest& request, const v1::TokenIds& ids) {
  const wire::SamplingParams& params = request.sampling_params();
  const auto& all = request.tokenized().input_ids();
  SF_CHECK(ids.ids_size() <= all.size());
  SF_CHECK(std::equal(ids.ids().rbegin(), ids.ids().rend(), all.rbegin()));
  if (params.has_truncate_prompt_tokens()) {
    SF_CHECK(params.truncate_prompt_tokens() > 0);
    SF_CHECK(ids.ids_size() <= params.truncate_prompt_tokens());
  } else {
    SF_CHECK(ids.ids_size() == all.size());
  }
}

void CheckConverted(const wire::GenerateRequest& request, const v1::GenerateStreamRequest& out) {
  const wire::SamplingParams& params = request.sampling_params();
  SF_CHECK(request.data_parallel_rank() == 0);
  SF_CHECK(params.constraint_case() == wire::SamplingParams::CONSTRAINT_NOT_SET);
  SF_CHECK(out.sampling().logit_bias_size() == params.logit_bias_size());
  SF_CHECK(out.output().has_logprobs() == params.has_logprobs());
  SF_CHECK(!out.has_resume() && !out.has_chat());
  if (request.has_tokenized()) {
    CheckPrompt(request, out.token_ids());
  } else {
    SF_CHECK(out.text() == request.text());
  }
}

void FuzzRequest(const uint8_t* data, size_t size) {
  wire::GenerateRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return;
  const auto converted = ToGenerateStreamRequest(request);
  if (converted.ok()) {
    CheckConverted(request, *converted);
  } else {
    SF_CHECK(!converted.status().message().empty());
  }
}

// The bytes are a stream of answers, each behind its length.
void FuzzAnswers(const uint8_t* data, size_t size, OutputConverter::Mode mode) {
  OutputConverter converter(mode, 1);
  int64_t num_in = 0;
  int64_t num_out = 0;
  for (size_t at = 0; at < size;) {
    const size_t length = std::min<size_t>(data[at], size - at - 1);
    v1::GenerateStreamResponse event;
    const bool parsed = event.ParseFromArray(data + at + 1, static_cast<int>(length));
    at += 1 + length;
    if (!parsed) continue;
    num_in += event.delta().token_ids_size();
    const auto response = converter.Convert(std::move(event));
    if (!response) continue;
    const bool counts = mode == OutputConverter::Mode::kWhole || response->has_chunk();
    const auto completion = response->has_chunk() ? response->chunk().completion_tokens()
                                                  : response->complete().completion_tokens();
    if (counts) num_out += completion;
  }
  SF_CHECK(mode == OutputConverter::Mode::kStream ? num_out == num_in : num_out <= num_in);
}

}  // namespace
}  // namespace spearfish::vllm_engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using Mode = spearfish::vllm_engine::OutputConverter::Mode;
  spearfish::vllm_engine::FuzzRequest(data, size);
  spearfish::vllm_engine::FuzzAnswers(data, size, Mode::kStream);
  spearfish::vllm_engine::FuzzAnswers(data, size, Mode::kWhole);
  return 0;
}
