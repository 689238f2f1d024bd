// A router's GenerateRequest as spearfish.v1 says it. Pure.
#ifndef COMMON_VLLM_ENGINE_REQUEST_CONVERSION_H_
#define COMMON_VLLM_ENGINE_REQUEST_CONVERSION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/vllm_engine/wire.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::vllm_engine {

// InvalidArgument, naming the field, for what spearfish.v1 can't say; bounds are left to whoever
// serves the result. A prompt of tokens is truncated as asked; one of text is as it was, so
// NeedsTokenIds has to be asked.
absl::StatusOr<v1::GenerateStreamRequest> ToGenerateStreamRequest(
    const wire::GenerateRequest& request);

// The prompt is text, and what was asked for is said in tokens: truncation, or log-probabilities of
// the prompt, whose first token no PromptInfo names.
bool NeedsTokenIds(const wire::GenerateRequest& request);

// Makes `ids` the prompt of `converted`, truncated as `request` asks.
void SetTokenIds(const wire::GenerateRequest& request, v1::TokenIds ids,
                 v1::GenerateStreamRequest& converted);

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_REQUEST_CONVERSION_H_
