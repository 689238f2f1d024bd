#include "server/api/generate_stream_proxy.h"

#include <utility>

#include "server/api/upstream_status.h"

namespace spearfish::server {

GenerateStreamProxy::Attempt::Attempt(GenerateStreamProxy& proxy, WorkerLease lease)
    : proxy_(proxy),
      lease_(std::move(lease)),
      context_(grpc::ClientContext::FromCallbackServerContext(proxy.context_)) {}

void GenerateStreamProxy::Attempt::Start(const v1::GenerateStreamRequest& request) {
  lease_.worker().inference->async()->GenerateStream(context_.get(), &request, this);
  // Between two reads no operation of this call is outstanding; the hold keeps OnDone from
  // running then. It is released by the read that fails.
  AddHold();
  StartRead(&response_);
  StartCall();
}

void GenerateStreamProxy::Attempt::Read() { StartRead(&response_); }

void GenerateStreamProxy::Attempt::OnReadDone(bool ok) {
  if (ok) {
    proxy_.Forward();
  } else {
    RemoveHold();
  }
}

void GenerateStreamProxy::Attempt::OnDone(const grpc::Status& status) {
  proxy_.AttemptDone(status);
}

GenerateStreamProxy::GenerateStreamProxy(WorkerRegistry& registry,
                                         grpc::CallbackServerContext& context,
                                         v1::GenerateStreamRequest request)
    : registry_(registry), context_(context), request_(std::move(request)) {
  StartAttempt();
}

void GenerateStreamProxy::StartAttempt() {
  absl::StatusOr<WorkerLease> lease = registry_.Acquire(tried_);
  if (!lease.ok()) {
    Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, std::string(lease.status().message())));
    return;
  }
  tried_.push_back(lease->index());
  auto attempt = std::make_unique<Attempt>(*this, *std::move(lease));
  Attempt& started = *attempt;
  {
    const MutexLock lock(mutex_);
    attempt_.swap(attempt);
    if (cancelled_) attempt_->Cancel();
  }
  started.Start(request_);
}

void GenerateStreamProxy::Forward() {
  v1::GenerateStreamResponse& response = attempt_->response();
  if (response.has_prompt_info()) {
    response.mutable_prompt_info()->set_routed_worker(attempt_->lease().worker().address);
  }
  if (response.has_delta()) {
    tokens_forwarded_ += static_cast<uint64_t>(response.delta().token_ids_size());
  }
  ++messages_forwarded_;
  StartWrite(&response);
}

void GenerateStreamProxy::OnWriteDone(bool ok) {
  if (!ok) attempt_->Cancel();  // the client is gone; the read below fails
  attempt_->Read();
}

void GenerateStreamProxy::AttemptDone(const grpc::Status& status) {
  if (!status.ok() && ShouldTryAnotherWorker(status, messages_forwarded_) &&
      !context_.IsCancelled()) {
    registry_.MarkFailed(attempt_->lease().index());
    StartAttempt();
    return;
  }
  CopyPushback(attempt_->context(), context_);
  Finish(messages_forwarded_ > 0 ? StatusAfterFirstMessage(status, tokens_forwarded_) : status);
}

void GenerateStreamProxy::OnCancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (attempt_ != nullptr) attempt_->Cancel();
}

void GenerateStreamProxy::OnDone() { delete this; }

}  // namespace spearfish::server
