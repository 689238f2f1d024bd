#include "common/vllm_engine/generate_reactor.h"

#include <utility>

#include "absl/status/statusor.h"
#include "common/vllm_engine/request_conversion.h"

namespace spearfish::vllm_engine {
namespace {

// The prompt's, where its log-probabilities were asked for.
std::optional<uint32_t> FirstPromptId(const wire::GenerateRequest& request,
                                      const v1::GenerateStreamRequest& converted) {
  const auto& ids = converted.token_ids().ids();
  if (!request.sampling_params().has_prompt_logprobs() || ids.empty()) return std::nullopt;
  return ids[0];
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  // The codes are equal by number.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace

void GenerateReactor::Stream::Start(grpc::ClientContext* context) {
  owner_.upstream_.inference->async()->GenerateStream(context, &owner_.converted_, this);
  // Between two reads no operation of this call is outstanding; the hold keeps OnDone from running
  // then. It is released by the read that fails.
  AddHold();
  StartRead(&response_);
  StartCall();
}

void GenerateReactor::Stream::OnReadDone(bool ok) {
  if (ok) {
    owner_.Forward(std::move(response_));
  } else {
    RemoveHold();
  }
}

GenerateReactor::GenerateReactor(const Upstream& upstream, LiveCalls& live,
                                 grpc::CallbackServerContext& context,
                                 const wire::GenerateRequest& request, std::string caller)
    : upstream_(upstream),
      live_(live),
      context_(context),
      request_(request),
      caller_(std::move(caller)),
      stream_(*this) {
  absl::StatusOr<v1::GenerateStreamRequest> converted = ToGenerateStreamRequest(request);
  if (!converted.ok()) {
    Finish(ToGrpcStatus(converted.status()));
    return;
  }
  converted_ = *std::move(converted);
  if (NeedsTokenIds(request)) {
    StartTokenizing();
  } else {
    StartStream();
  }
}

void GenerateReactor::StartTokenizing() {
  tokenize_request_.set_text(request_.text());
  upstream_.inference->async()->Tokenize(NewContext(), &tokenize_request_, &tokenized_,
                                         [this](const grpc::Status& status) {
                                           if (!status.ok()) {
                                             End(status);
                                             return;
                                           }
                                           v1::TokenIds ids;
                                           ids.mutable_ids()->Swap(tokenized_.mutable_token_ids());
                                           SetTokenIds(request_, std::move(ids), converted_);
                                           StartStream();
                                         });
}

void GenerateReactor::StartStream() {
  converter_.emplace(
      request_.stream() ? OutputConverter::Mode::kStream : OutputConverter::Mode::kWhole,
      FirstPromptId(request_, converted_));
  stream_.Start(NewContext());
}

void GenerateReactor::Forward(v1::GenerateStreamResponse event) {
  std::optional<wire::GenerateResponse> response = converter_->Convert(std::move(event));
  if (!response) {
    stream_.Read();
    return;
  }
  response_ = *std::move(response);
  StartWrite(&response_);
}

void GenerateReactor::OnWriteDone(bool ok) {
  if (!ok) Cancel();  // the router is gone; the read below fails
  stream_.Read();
}

void GenerateReactor::End(const grpc::Status& status) {
  ReturnPushback(*call_, context_);
  Finish(status);
}

grpc::ClientContext* GenerateReactor::NewContext() {
  auto call = ForwardedContext(context_, caller_);
  grpc::ClientContext* const started = call.get();
  const MutexLock lock(mutex_);
  call_.swap(call);
  if (cancelled_) call_->TryCancel();
  return started;
}

void GenerateReactor::OnCancel() { Cancel(); }

void GenerateReactor::Cancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (call_ != nullptr) call_->TryCancel();
}

}  // namespace spearfish::vllm_engine
