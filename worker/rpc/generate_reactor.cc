#include "worker/rpc/generate_reactor.h"

#include <utility>
#include <variant>

#include "worker/rpc/event_conversion.h"
#include "worker/rpc/status_codes.h"

namespace spearfish::worker {

std::shared_ptr<GenerateReactor> GenerateReactor::Create(LiveCalls& calls,
                                                         grpc::CallbackServerContext& context,
                                                         v1::GenerateResponse& response,
                                                         std::unique_ptr<CallLog> log) {
  std::shared_ptr<GenerateReactor> reactor(
      new GenerateReactor(calls, context, response, std::move(log)));
  reactor->self_ = reactor;
  return reactor;
}

void GenerateReactor::Start(absl::StatusOr<AdmittedRequest> admitted) {
  absl::Status status = admitted.status();
  if (status.ok()) {
    live_.emplace(calls_);
    detail_ = std::move(admitted->detail);
    if (log_ != nullptr) log_->set_request_id(detail_.request_id);
    for (uint32_t i = 0; i < admitted->request.num_sequences; ++i) {
      response_.add_sequences()->mutable_output()->set_index(i);
    }
    status = link_.Submit(
        admitted->engine, std::move(admitted->request),
        [self = shared_from_this()](EngineEvent event) { self->OnEvent(std::move(event)); });
  }
  if (!status.ok()) End(status);
}

void GenerateReactor::OnEvent(EngineEvent event) {
  const bool last = link_.Observe(event);
  if (log_ != nullptr) log_->Observe(event);
  absl::Status status;
  if (const auto* failed = std::get_if<RequestFailed>(&event)) {
    status = failed->status;
  } else {
    Collect(std::move(event));
  }
  if (last) End(status);
}

void GenerateReactor::End(const absl::Status& status) {
  const grpc::Status final_status = FinalStatus(status, context_);
  if (log_ != nullptr) log_->set_code(final_status.error_code());
  Finish(final_status);
}

void GenerateReactor::Collect(EngineEvent event) {
  if (auto* delta = std::get_if<TokensDelta>(&event)) {
    v1::SequenceOutput& sequence = *response_.mutable_sequences(static_cast<int>(delta->index));
    MergeDelta(ToProto(std::move(*delta), detail_), *sequence.mutable_output());
  } else if (const auto* prompt = std::get_if<PromptDone>(&event)) {
    *response_.mutable_prompt_info() = ToProto(*prompt, detail_);
  } else if (const auto* finished = std::get_if<SequenceFinished>(&event)) {
    *response_.mutable_sequences(static_cast<int>(finished->index))->mutable_finish() =
        ToProto(*finished);
  }
}

void GenerateReactor::OnDone() {
  if (log_ != nullptr) log_->Write();
  live_.reset();
  const std::shared_ptr<GenerateReactor> last_use = std::move(self_);
}

}  // namespace spearfish::worker
