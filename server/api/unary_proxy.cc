#include "server/api/unary_proxy.h"

namespace spearfish::server {

UnaryProxy::UnaryProxy(WorkerRegistry& registry, grpc::CallbackServerContext& context, Call call,
                       Succeeded succeeded)
    : registry_(registry),
      context_(context),
      call_(std::move(call)),
      succeeded_(std::move(succeeded)) {
  StartAttempt();
}

void UnaryProxy::StartAttempt() {
  absl::StatusOr<WorkerLease> lease = registry_.Acquire(tried_);
  if (!lease.ok()) {
    Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, std::string(lease.status().message())));
    return;
  }
  tried_.push_back(lease->index());
  lease_ = std::make_unique<WorkerLease>(*std::move(lease));
  auto upstream = grpc::ClientContext::FromCallbackServerContext(context_);
  grpc::ClientContext* started = upstream.get();
  {
    const MutexLock lock(mutex_);
    upstream_.swap(upstream);
    if (cancelled_) upstream_->TryCancel();
  }
  call_(lease_->worker(), started, [this](const grpc::Status& status) { AttemptDone(status); });
}

void UnaryProxy::AttemptDone(const grpc::Status& status) {
  if (ShouldTryAnotherWorker(status, /*messages_forwarded=*/0) && !context_.IsCancelled()) {
    registry_.MarkFailed(lease_->index());
    StartAttempt();
    return;
  }
  CopyPushback(*upstream_, context_);
  if (status.ok()) succeeded_(lease_->worker().address);
  Finish(status);
}

void UnaryProxy::OnCancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (upstream_ != nullptr) upstream_->TryCancel();
}

}  // namespace spearfish::server
