#include "worker/rpc/inference_service.h"

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "worker/rpc/admitted_request.h"
#include "worker/rpc/call_log.h"
#include "worker/rpc/chat_prompt.h"
#include "worker/rpc/generate_reactor.h"
#include "worker/rpc/generate_stream_reactor.h"
#include "worker/rpc/request_conversion.h"
#include "worker/rpc/status_codes.h"

namespace spearfish::worker {
namespace {

// About a millisecond of byte-level BPE.
constexpr size_t kMaxInlineTextBytes = 8192;

template <typename Request>
size_t TextBytes(const Request& request) {
  return request.has_chat() ? request.chat().ByteSizeLong() : request.text().size();
}

absl::Time Deadline(const grpc::CallbackServerContext& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture()
                                                                  : absl::FromChrono(deadline);
}

std::unique_ptr<CallLog> LogFor(RequestLog log, const char* method,
                                const grpc::CallbackServerContext& context) {
  return log == RequestLog::kOn ? std::make_unique<CallLog>(method, context) : nullptr;
}

uint64_t Random64() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

template <typename Request>
absl::StatusOr<AdmittedRequest> Admit(const ServingState& state,
                                      const grpc::CallbackServerContext& context,
                                      const Request& request) {
  SF_ASSIGN_OR_RETURN(const LoadedModel* const model, state.Admitting());
  if (context.IsCancelled()) return absl::CancelledError("cancelled before it was read");
  const RequestContext against{.served_name = model->served_name,
                               .vocab_size = model->config.vocab_size,
                               .max_model_len = model->max_model_len,
                               .defaults = model->defaults,
                               .tokenizer = model->tokenizer,
                               .chat_template = model->chat_template};
  const RequestEntropy entropy{.request_id = Random64(), .seed = Random64()};
  SF_ASSIGN_OR_RETURN(GenerationRequest converted, ToGenerationRequest(request, against, entropy));
  converted.deadline = Deadline(context);
  EventDetail detail{.request_id = converted.request_id,
                     .begins_in_reasoning = request.has_chat() &&
                                            EndsInOpenReasoning(model->tokenizer, converted.prompt),
                     .tokenizer = request.output().token_bytes() ? &model->tokenizer : nullptr};
  return AdmittedRequest{
      .engine = model->engine, .request = std::move(converted), .detail = std::move(detail)};
}

absl::Status TokenizeText(const ServingState& state, const v1::TokenizeRequest& request,
                          v1::TokenizeResponse& response) {
  SF_ASSIGN_OR_RETURN(const LoadedModel* const model, state.Loaded());
  SF_RETURN_IF_ERROR(CheckModelName(request.model(), model->served_name));
  const auto special = request.special_as_text() ? Tokenizer::SpecialTokens::kAsText
                                                 : Tokenizer::SpecialTokens::kParse;
  SF_ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                      model->tokenizer.Encode(request.text(), special));
  response.mutable_token_ids()->Add(ids.begin(), ids.end());
  return absl::OkStatus();
}

absl::Status DetokenizeIds(const ServingState& state, const v1::DetokenizeRequest& request,
                           v1::DetokenizeResponse& response) {
  SF_ASSIGN_OR_RETURN(const LoadedModel* const model, state.Loaded());
  SF_RETURN_IF_ERROR(CheckModelName(request.model(), model->served_name));
  const auto special = request.skip_special_tokens() ? Tokenizer::SpecialTokens::kParse
                                                     : Tokenizer::SpecialTokens::kAsText;
  absl::StatusOr<std::string> text = model->tokenizer.Decode(
      {request.token_ids().data(), static_cast<size_t>(request.token_ids_size())}, special);
  // The client named the id, so it is the client's mistake, as everywhere else.
  if (absl::IsOutOfRange(text.status())) {
    return absl::InvalidArgumentError(text.status().message());
  }
  SF_RETURN_IF_ERROR(text.status());
  response.set_text(*std::move(text));
  return absl::OkStatus();
}

}  // namespace

void InferenceService::RunUnadmitted(size_t bytes, grpc::CallbackServerContext& context,
                                     grpc::ServerUnaryReactor& reactor,
                                     std::function<absl::Status()> work) {
  const auto run = [&context, &reactor, work = std::move(work)] {
    const absl::Status status =
        context.IsCancelled() ? absl::CancelledError("the client has gone") : work();
    reactor.Finish(FinalStatus(status, context));
  };
  if (bytes <= kMaxInlineTextBytes) {
    run();
  } else if (!tasks_.TryPost(run)) {
    reactor.Finish(FinalStatus(
        absl::ResourceExhaustedError(absl::StrCat(
            "too many long texts to convert: ", TaskThread::kMostQueued, " wait; try again later")),
        context));
  }
}

void InferenceService::RunTokenizing(size_t text_bytes, std::function<void()> work) {
  if (text_bytes > kMaxInlineTextBytes) {
    tasks_.Post(std::move(work));
  } else {
    work();
  }
}

grpc::ServerUnaryReactor* InferenceService::Generate(grpc::CallbackServerContext* context,
                                                     const v1::GenerateRequest* request,
                                                     v1::GenerateResponse* response) {
  const auto reactor =
      GenerateReactor::Create(live_, *context, *response, LogFor(log_, "Generate", *context));
  RunTokenizing(TextBytes(*request), [this, context, request, reactor] {
    reactor->Start(Admit(state_, *context, *request));
  });
  return reactor.get();
}

grpc::ServerWriteReactor<v1::GenerateStreamResponse>* InferenceService::GenerateStream(
    grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) {
  const auto reactor =
      GenerateStreamReactor::Create(live_, *context, LogFor(log_, "GenerateStream", *context));
  RunTokenizing(TextBytes(*request), [this, context, request, reactor] {
    reactor->Start(Admit(state_, *context, *request));
  });
  return reactor.get();
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* context,
                                                     const v1::TokenizeRequest* request,
                                                     v1::TokenizeResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  RunUnadmitted(request->text().size(), *context, *reactor,
                [this, request, response] { return TokenizeText(state_, *request, *response); });
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(grpc::CallbackServerContext* context,
                                                       const v1::DetokenizeRequest* request,
                                                       v1::DetokenizeResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const size_t bytes = static_cast<size_t>(request->token_ids_size()) * sizeof(uint32_t);
  RunUnadmitted(bytes, *context, *reactor,
                [this, request, response] { return DetokenizeIds(state_, *request, *response); });
  return reactor;
}

}  // namespace spearfish::worker
