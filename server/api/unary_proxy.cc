#include "server/api/unary_proxy.h"

#include "server/api/upstream_context.h"
#include "server/api/upstream_status.h"

namespace spearfish::server {

UnaryProxy::UnaryProxy(Parts parts, Call call, Succeeded succeeded)
    : context_(parts.context),
      call_(std::move(call)),
      succeeded_(std::move(succeeded)),
      attempts_(parts.registry, parts.route),
      record_(std::move(parts.record)) {}

UnaryProxy* UnaryProxy::Start() {
  StartAttempt();
  return this;
}

UnaryProxy* UnaryProxy::StartWhenAdmitted(AdmissionController& admission,
                                          AdmissionRequest request) {
  admitted_.emplace(admission);
  admitted_->Enter(
      std::move(request),
      [this] {
        record_.Admitted();
        StartAttempt();
      },
      [this](const Refusal& refusal) {
        record_.Rejected(ToRejection(refusal.reason));
        End(Refused(refusal, context_));
      });
  return this;
}

void UnaryProxy::StartAttempt() {
  if (context_.IsCancelled()) {
    End(grpc::Status::CANCELLED);
    return;
  }
  absl::StatusOr<WorkerLease> lease = attempts_.Next();
  if (!lease.ok()) {
    if (const std::optional<absl::Duration> pause = attempts_.Pause()) {
      pause_.Start(*pause, [this] { StartAttempt(); });
    } else {
      record_.Rejected(Rejection::kNoWorker);
      End(last_failure_.ok() ? NoWorker(lease.status()) : LostBeforeBegin(last_failure_));
    }
    return;
  }
  attempts_.Started(lease->worker().id);
  record_.AttemptStarted(lease->worker().address, /*resumed=*/false);
  lease_ = std::make_unique<WorkerLease>(*std::move(lease));
  auto upstream = UpstreamContext(context_);
  grpc::ClientContext* started = upstream.get();
  {
    const MutexLock lock(mutex_);
    upstream_.swap(upstream);
    if (cancelled_) upstream_->TryCancel();
  }
  call_(lease_->worker(), started, [this](const grpc::Status& status) { AttemptDone(status); });
}

void UnaryProxy::AttemptDone(const grpc::Status& status) {
  if (status.ok()) {
    lease_->Succeeded();
    succeeded_(lease_->worker().address, record_);
    End(status);
    return;
  }
  const bool lost = IsWorkerLost(status);
  const bool no_answer =
      !context_.IsCancelled() && (lost || (!last_failure_.ok() && MeetsItself(status)));
  if (no_answer) {
    last_failure_ = status;
    if (lost) record_.AttemptLost();
    if (lost && IsWorkersFault(status)) lease_->Failed();
    if (attempts_.MayRetry(Attempts::Kind::kFirst)) {
      LetGo();
      StartAttempt();
      return;
    }
  }
  CopyPushback(*upstream_, context_);
  End(no_answer ? LostBeforeBegin(status) : status);
}

// The lease last: the channel that the context holds must not be the last reference to it.
void UnaryProxy::LetGo() {
  std::unique_ptr<grpc::ClientContext> upstream;
  {
    const MutexLock lock(mutex_);
    upstream_.swap(upstream);
  }
  upstream.reset();
  lease_.reset();
}

void UnaryProxy::End(const grpc::Status& status) {
  record_.Finished(status);
  Finish(status);
}

void UnaryProxy::OnCancel() {
  if (admitted_ && admitted_->Withdraw()) {
    End(grpc::Status::CANCELLED);
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
