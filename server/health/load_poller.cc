#include "server/health/load_poller.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/time/clock.h"
#include "common/base/countdown.h"

namespace spearfish::server {

// Owned by its own callback: gRPC needs context and messages until the call is over.
struct LoadPoller::Call {
  std::shared_ptr<const WorkerConnection> worker;  // keeps it from being swept
  ReportTime asked;
  grpc::ClientContext context;
  v1::GetLoadsRequest request;
  v1::GetLoadsResponse response;
};

LoadPoller::LoadPoller(WorkerRegistry& registry, LoadPollerOptions options,
                       std::function<void(size_t)> on_report)
    : registry_(registry),
      options_(options),
      on_report_(std::move(on_report)),
      thread_([this] { Run(); }) {}

LoadPoller::~LoadPoller() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.SignalAll();
  thread_.join();
  const MutexLock lock(mutex_);
  while (!in_flight_.empty()) changed_.Wait(mutex_);
}

void LoadPoller::Run() {
  while (true) {
    registry_.RenewConnections();
    for (const auto& worker : registry_.Connections()) Poll(worker);
    registry_.Sweep();
    const MutexLock lock(mutex_);
    const Countdown next_poll(options_.interval);
    while (!stopping_ && !next_poll.passed()) changed_.WaitFor(mutex_, next_poll.left());
    if (stopping_) return;
  }
}

void LoadPoller::Poll(const std::shared_ptr<const WorkerConnection>& worker) {
  {
    const MutexLock lock(mutex_);
    if (stopping_ || !in_flight_.insert(worker->id).second) return;
  }
  auto call = std::make_shared<Call>();  // shared: std::function must be copyable
  call->worker = worker;
  call->asked = registry_.ReportTimeOf(worker->id);
  call->context.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
  worker->control->async()->GetLoads(
      &call->context, &call->request, &call->response,
      [this, call](const grpc::Status& status) mutable { Finished(std::move(call), status); });
}

void LoadPoller::Finished(std::shared_ptr<Call> call, const grpc::Status& status) {
  const WorkerId id = call->worker->id;
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    registry_.ReportLate(id);
  } else {
    const bool answered = status.ok() && call->response.workers_size() > 0;
    registry_.Report(id, answered ? std::make_optional(call->response.workers(0)) : std::nullopt,
                     call->asked);
  }
  {
    const MutexLock lock(report_mutex_);
    on_report_(registry_.num_ready());
  }
  // Before the destructor may go on: the context holds the channel, which the registry, gone by
  // then, must be the last to hold.
  call.reset();
  const MutexLock lock(mutex_);
  in_flight_.erase(id);
  changed_.SignalAll();  // under the lock: the destructor may run as soon as it is free
}

}  // namespace spearfish::server
