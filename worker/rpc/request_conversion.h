// spearfish.v1 requests to engine requests: checked in full, defaults filled in. Pure: equal inputs
// give equal outputs, randomness comes in as an argument.
#ifndef WORKER_RPC_REQUEST_CONVERSION_H_
#define WORKER_RPC_REQUEST_CONVERSION_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chat/chat_template.h"
#include "common/config/generation_config.h"
#include "common/tokenizer/tokenizer.h"
#include "spearfish/v1/inference.pb.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

// What a request is checked against and completed from.
struct RequestContext {
  absl::string_view served_name;
  uint32_t vocab_size = 0;
  uint32_t max_model_len = 0;
  const GenerationConfig& defaults;
  const Tokenizer& tokenizer;
  // As in LoadedModel.
  const absl::StatusOr<std::unique_ptr<ChatTemplate>>* chat_template = nullptr;
};

// Used where the client left the field unset.
struct RequestEntropy {
  uint64_t request_id = 0;
  uint64_t seed = 0;
};

// InvalidArgument names the field as the client knows it, its value and its bound; NotFound for
// another model's name; FailedPrecondition for a chat prompt where no chat template can be used.
// The deadline is left infinite. A prompt of max_model_len tokens passes; whether it leaves room to
// generate is the engine's to say.
absl::StatusOr<GenerationRequest> ToGenerationRequest(const v1::GenerateRequest& request,
                                                      const RequestContext& context,
                                                      const RequestEntropy& entropy);
absl::StatusOr<GenerationRequest> ToGenerationRequest(const v1::GenerateStreamRequest& request,
                                                      const RequestContext& context,
                                                      const RequestEntropy& entropy);

// NotFound when `model` is set and is not the served name.
absl::Status CheckModelName(absl::string_view model, absl::string_view served_name);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_REQUEST_CONVERSION_H_
