#include "server/api/unary_proxy.h"

#include "server/api/upstream_status.h"

namespace spearfish::server {

UnaryProxy::UnaryProxy(WorkerRegistry& registry, grpc::CallbackServerContext& context,
                       const RouteRequest& route, Call call, Succeeded succeeded)
    : context_(context),
      call_(std::move(call)),
      succeeded_(std::move(succeeded)),
      attempts_(registry, route) {}

UnaryProxy* UnaryProxy::Start() {
  StartAttempt();
  return this;
}

UnaryProxy* UnaryProxy::StartWhenAdmitted(AdmissionController& admission,
                                          AdmissionRequest request) {
  admitted_.emplace(admission);
  admitted_->Enter(
      std::move(request), [this] { StartAttempt(); },
      [this](const Refusal& refusal) { Finish(Refused(refusal, context_)); });
  return this;
}

void UnaryProxy::StartAttempt() {
  if (context_.IsCancelled()) {
    Finish(grpc::Status::CANCELLED);
    return;
  }
  absl::StatusOr<WorkerLease> lease = attempts_.Next();
  if (!lease.ok()) {
    if (const std::optional<absl::Duration> pause = attempts_.Pause()) {
      pause_.Start(*pause, [this] { StartAttempt(); });
    } else {
      Finish(last_failure_.ok() ? NoWorker(lease.status()) : last_failure_);
    }
    return;
  }
  attempts_.Started(lease->worker().id);
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
  if (!status.ok() && IsWorkerLost(status) && !context_.IsCancelled()) {
    last_failure_ = status;
    if (IsWorkersFault(status)) lease_->Failed();
    if (attempts_.MayRetry(Attempts::Kind::kFirst)) {
      StartAttempt();
      return;
    }
  } else if (status.ok()) {
    lease_->Succeeded();
    succeeded_(lease_->worker().address);
  }
  CopyPushback(*upstream_, context_);
  Finish(status);
}

void UnaryProxy::OnCancel() {
  if (admitted_ && admitted_->Withdraw()) {
    Finish(grpc::Status::CANCELLED);
    return;
  }
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    if (upstream_ != nullptr) upstream_->TryCancel();
  }
  pause_.Cancel();
}

}  // namespace spearfish::server
