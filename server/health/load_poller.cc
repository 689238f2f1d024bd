#include "server/health/load_poller.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace spearfish::server {

// Owned by its own callback: gRPC needs context and messages until the call is over.
struct LoadPoller::Call {
  size_t index;
  grpc::ClientContext context;
  v1::GetLoadsRequest request;
  v1::GetLoadsResponse response;
};

LoadPoller::LoadPoller(WorkerRegistry& registry, LoadPollerOptions options,
                       std::function<void(size_t)> on_report)
    : registry_(registry),
      options_(options),
      on_report_(std::move(on_report)),
      in_flight_(registry.size(), false),
      thread_([this] { Run(); }) {}

LoadPoller::~LoadPoller() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.SignalAll();
  thread_.join();
  const MutexLock lock(mutex_);
  while (std::find(in_flight_.begin(), in_flight_.end(), true) != in_flight_.end()) {
    changed_.Wait(mutex_);
  }
}

void LoadPoller::Run() {
  while (true) {
    for (size_t i = 0; i < registry_.size(); ++i) Poll(i);
    const MutexLock lock(mutex_);
    const absl::Time next_poll = absl::Now() + options_.interval;
    while (!stopping_ && absl::Now() < next_poll) {
      changed_.WaitFor(mutex_, next_poll - absl::Now());
    }
    if (stopping_) return;
  }
}

void LoadPoller::Poll(size_t index) {
  {
    const MutexLock lock(mutex_);
    if (stopping_ || in_flight_[index]) return;
    in_flight_[index] = true;
  }
  auto call = std::make_shared<Call>();  // shared: std::function must be copyable
  call->index = index;
  call->context.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
  registry_.worker(index).control->async()->GetLoads(
      &call->context, &call->request, &call->response,
      [this, call](const grpc::Status& status) { Finished(*call, status.ok()); });
}

void LoadPoller::Finished(const Call& call, bool ok) {
  const bool answered = ok && call.response.workers_size() > 0;
  registry_.Report(call.index,
                   answered ? std::make_optional(call.response.workers(0)) : std::nullopt);
  on_report_(registry_.num_ready());
  const MutexLock lock(mutex_);
  in_flight_[call.index] = false;
  changed_.SignalAll();  // under the lock: the destructor may run as soon as it is free
}

}  // namespace spearfish::server
