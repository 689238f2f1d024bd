#include "worker/rpc/generate_stream_reactor.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "worker/rpc/event_conversion.h"
#include "worker/rpc/status_codes.h"

namespace spearfish::worker {
namespace {

// A merged delta stays near 1 MiB even with 64 log-probabilities a token: clients refuse messages
// past 4 MiB by default.
constexpr int kMaxMergedTokens = 1024;

bool TakesMore(const v1::GenerateStreamResponse& message, uint32_t index) {
  return message.has_delta() && message.delta().index() == index &&
         message.delta().token_ids_size() < kMaxMergedTokens;
}

}  // namespace

std::shared_ptr<GenerateStreamReactor> GenerateStreamReactor::Create(
    LiveCalls& calls, grpc::CallbackServerContext& context, std::unique_ptr<CallLog> log) {
  std::shared_ptr<GenerateStreamReactor> reactor(
      new GenerateStreamReactor(calls, context, std::move(log)));
  reactor->self_ = reactor;
  return reactor;
}

void GenerateStreamReactor::Start(absl::StatusOr<AdmittedRequest> admitted) {
  absl::Status status = admitted.status();
  if (status.ok()) {
    live_.emplace(calls_);
    detail_ = std::move(admitted->detail);
    if (log_ != nullptr) log_->set_request_id(detail_.request_id);
    status = link_.Submit(
        admitted->engine, std::move(admitted->request),
        [self = shared_from_this()](EngineEvent event) { self->OnEvent(std::move(event)); });
  }
  {
    const MutexLock lock(mutex_);
    if (!status.ok()) final_ = status;
    busy_ = false;
  }
  Advance();
}

void GenerateStreamReactor::OnEvent(EngineEvent event) {
  const bool last = link_.Observe(event);
  if (log_ != nullptr) log_->Observe(event);
  {
    const MutexLock lock(mutex_);
    if (auto* failed = std::get_if<RequestFailed>(&event)) {
      final_ = std::move(failed->status);
    } else {
      if (last) final_ = absl::OkStatus();
      if (!cancelled_) Enqueue(std::move(event));
    }
    if (final_ && cancelled_) final_ = absl::CancelledError("cancelled by the client");
  }
  Advance();
}

void GenerateStreamReactor::Enqueue(EngineEvent event) {
  if (auto* delta = std::get_if<TokensDelta>(&event)) {
    EnqueueDelta(ToProto(std::move(*delta), detail_));
  } else if (const auto* prompt = std::get_if<PromptDone>(&event)) {
    *queue_.emplace_back().mutable_prompt_info() = ToProto(*prompt, detail_);
  } else if (const auto* finished = std::get_if<SequenceFinished>(&event)) {
    *queue_.emplace_back().mutable_finish() = ToProto(*finished);
  }
}

void GenerateStreamReactor::EnqueueDelta(v1::Delta delta) {
  // From the end: at most one delta of a sequence takes more, its last.
  const auto queued = std::find_if(queue_.rbegin(), queue_.rend(), [&](const auto& message) {
    return TakesMore(message, delta.index());
  });
  if (queued != queue_.rend()) {
    MergeDelta(std::move(delta), *queued->mutable_delta());
  } else {
    *queue_.emplace_back().mutable_delta() = std::move(delta);
  }
}

void GenerateStreamReactor::OnWriteDone(bool ok) {
  if (!ok) StopWriting();
  {
    const MutexLock lock(mutex_);
    busy_ = false;
  }
  Advance();
}

void GenerateStreamReactor::OnCancel() {
  StopWriting();
  Advance();
}

void GenerateStreamReactor::StopWriting() {
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    queue_.clear();
  }
  link_.Cancel();
}

void GenerateStreamReactor::Advance() {
  std::optional<absl::Status> finish;
  {
    const MutexLock lock(mutex_);
    if (busy_) return;
    if (!queue_.empty()) {
      current_ = std::move(queue_.front());
      queue_.pop_front();
    } else if (final_) {
      finish = final_;
    } else {
      return;
    }
    busy_ = true;
  }
  // Outside the lock, so that no path through gRPC can come back to it.
  if (finish) {
    const grpc::Status status = FinalStatus(*finish, context_);
    if (log_ != nullptr) log_->set_code(status.error_code());
    Finish(status);
  } else {
    StartWrite(&current_);
  }
}

void GenerateStreamReactor::OnDone() {
  if (log_ != nullptr) log_->Write();
  live_.reset();
  const std::shared_ptr<GenerateStreamReactor> last_use = std::move(self_);
}

}  // namespace spearfish::worker
