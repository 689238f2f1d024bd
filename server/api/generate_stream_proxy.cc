#include "server/api/generate_stream_proxy.h"

#include <utility>

#include "server/api/upstream_context.h"
#include "server/api/upstream_status.h"

namespace spearfish::server {

GenerateStreamProxy::Attempt::Attempt(GenerateStreamProxy& proxy, WorkerLease lease)
    : proxy_(proxy), lease_(std::move(lease)), context_(UpstreamContext(proxy.context_)) {}

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

GenerateStreamProxy::GenerateStreamProxy(Parts parts, v1::GenerateStreamRequest request)
    : context_(parts.context),
      admitted_(parts.entrance.admission),
      attempts_(parts.registry, parts.route),
      progress_(std::move(request)),
      record_(std::move(parts.record)),
      lost_before_(progress_.NextRequest().has_resume()) {
  admitted_.Enter(
      AdmissionOf(parts.entrance, context_, progress_.NextRequest()),
      [this] {
        record_.Admitted();
        StartAttempt();
      },
      [this](const Refusal& refusal) {
        record_.Rejected(ToRejection(refusal.reason));
        End(Refused(refusal, context_));
      });
}

void GenerateStreamProxy::End(const grpc::Status& status) {
  record_.Finished(status);
  Finish(status);
}

void GenerateStreamProxy::StartAttempt() {
  if (context_.IsCancelled()) {
    End(grpc::Status::CANCELLED);
    return;
  }
  absl::StatusOr<WorkerLease> lease = attempts_.Next();
  if (!lease.ok()) {
    if (const std::optional<absl::Duration> pause = attempts_.Pause()) {
      pause_.Start(*pause, [this] { StartAttempt(); });
    } else {
      if (!progress_.begun()) record_.Rejected(Rejection::kNoWorker);
      End(FinalStatus(last_failure_.ok() ? NoWorker(lease.status()) : last_failure_));
    }
    return;
  }
  attempts_.Started(lease->worker().id);
  begun_before_ = progress_.begun();
  record_.AttemptStarted(lease->worker().address, begun_before_);
  attempt_delivered_ = false;
  auto attempt = std::make_unique<Attempt>(*this, *std::move(lease));
  Attempt& started = *attempt;
  {
    const MutexLock lock(mutex_);
    attempt_.swap(attempt);
    if (cancelled_) attempt_->Cancel();
  }
  started.Start(progress_.NextRequest());
}

void GenerateStreamProxy::Forward() {
  v1::GenerateStreamResponse& response = attempt_->response();
  if (response.has_delta() && !attempt_delivered_) {
    attempt_delivered_ = true;
    attempt_->lease().Succeeded();
    attempts_.Progressed();
  }
  if (!progress_.Note(response)) {
    attempt_->Read();
    return;
  }
  record_.Note(response);
  if (response.has_prompt_info()) {
    response.mutable_prompt_info()->set_routed_worker(attempt_->lease().worker().address);
  }
  StartWrite(&response);
}

void GenerateStreamProxy::OnWriteDone(bool ok) {
  if (!ok) {
    client_gone_ = true;
    attempt_->Cancel();  // the read below fails
  }
  attempt_->Read();
}

bool GenerateStreamProxy::IsNoAnswer(const grpc::Status& status) const {
  if (client_gone_ || context_.IsCancelled()) return false;
  if (IsWorkerLost(status)) return true;
  // Another worker had it before.
  return begun_before_ ? IsRefusedForNow(status) : lost_before_ && MeetsItself(status);
}

bool GenerateStreamProxy::MayGoOn(const grpc::Status& status) {
  if (status.ok() || progress_.complete() || !IsNoAnswer(status)) return false;
  last_failure_ = status;
  if (IsWorkerLost(status)) {
    lost_before_ = true;
    record_.AttemptLost();
    if (IsWorkersFault(status)) attempt_->lease().Failed();
  }
  if (!progress_.begun()) return attempts_.MayRetry(Attempts::Kind::kFirst);
  return progress_.resumable() && attempts_.MayRetry(Attempts::Kind::kResume);
}

void GenerateStreamProxy::LetGo() {
  std::unique_ptr<Attempt> lost;
  const MutexLock lock(mutex_);
  attempt_.swap(lost);
}

void GenerateStreamProxy::AttemptDone(const grpc::Status& status) {
  if (MayGoOn(status)) {
    LetGo();
    StartAttempt();
    return;
  }
  CopyPushback(attempt_->context(), context_);
  End(FinalStatus(status));
}

grpc::Status GenerateStreamProxy::FinalStatus(const grpc::Status& status) const {
  // Lost between its last message and its status: the client has everything.
  if (progress_.complete()) return grpc::Status::OK;
  if (!IsNoAnswer(status)) return status;
  return progress_.begun() ? WorkerLost(status, progress_.num_tokens()) : LostBeforeBegin(status);
}

void GenerateStreamProxy::OnCancel() {
  if (admitted_.Withdraw()) {
    End(grpc::Status::CANCELLED);
    return;
  }
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    if (attempt_ != nullptr) attempt_->Cancel();
  }
  pause_.Cancel();
}

void GenerateStreamProxy::OnDone() { delete this; }

}  // namespace spearfish::server
