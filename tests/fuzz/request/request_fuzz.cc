// Any bytes as a GenerateStreamRequest: what converts is within every bound, what doesn't says why.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "common/base/check.h"
#include "tests/unit/worker/rpc/byte_tokenizer.h"
#include "worker/rpc/request_conversion.h"

namespace spearfish::worker {
namespace {

constexpr uint32_t kVocabSize = 300;
constexpr uint32_t kMaxModelLen = 64;

bool InVocabulary(const std::vector<TokenId>& ids) {
  return std::all_of(ids.begin(), ids.end(), [](TokenId id) { return id < kVocabSize; });
}

void CheckSampling(const SamplingParams& sampling) {
  SF_CHECK(sampling.temperature >= 0 && sampling.temperature <= 100);
  SF_CHECK(sampling.top_p > 0 && sampling.top_p <= 1);
  SF_CHECK(sampling.min_p >= 0 && sampling.min_p <= 1);
  SF_CHECK(sampling.presence_penalty >= -2 && sampling.presence_penalty <= 2);
  SF_CHECK(sampling.frequency_penalty >= -2 && sampling.frequency_penalty <= 2);
  SF_CHECK(sampling.repetition_penalty > 0 && sampling.repetition_penalty <= 100);
  SF_CHECK(sampling.logit_bias.size() <= 1024);
  for (const auto& [id, bias] : sampling.logit_bias) {
    SF_CHECK(id < kVocabSize && bias >= -100 && bias <= 100);
  }
}

void CheckStopping(const StoppingParams& stopping) {
  SF_CHECK(stopping.max_tokens == 0 || stopping.min_tokens <= stopping.max_tokens);
  SF_CHECK(stopping.stop_token_ids.size() <= 256 && InVocabulary(stopping.stop_token_ids));
  SF_CHECK(stopping.stop_strings.size() <= 64);
  for (const std::string& text : stopping.stop_strings) {
    SF_CHECK(!text.empty() && text.size() <= 1024);
  }
}

void CheckConverted(const GenerationRequest& request) {
  SF_CHECK(!request.request_id.empty() && request.request_id.size() <= 256);
  SF_CHECK(!request.prompt.empty() && request.prompt.size() <= kMaxModelLen);
  SF_CHECK(InVocabulary(request.prompt));
  SF_CHECK(request.num_sequences >= 1 && request.num_sequences <= 64);
  SF_CHECK(request.output.logprobs.value_or(0) <= 64);
  SF_CHECK(request.output.prompt_logprobs.value_or(0) <= 64);
  CheckSampling(request.sampling);
  CheckStopping(request.stopping);
}

void Fuzz(const uint8_t* data, size_t size) {
  static const ByteTokenizer tokenizer;
  static const GenerationConfig defaults;
  v1::GenerateStreamRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return;
  const RequestContext context{.served_name = "model",
                               .vocab_size = kVocabSize,
                               .max_model_len = kMaxModelLen,
                               .defaults = defaults,
                               .tokenizer = tokenizer};
  const auto converted = ToGenerationRequest(request, context, {.request_id = 1, .seed = 2});
  if (converted.ok()) {
    CheckConverted(*converted);
  } else {
    SF_CHECK(!converted.status().message().empty());
  }
}

}  // namespace
}  // namespace spearfish::worker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spearfish::worker::Fuzz(data, size);
  return 0;
}
