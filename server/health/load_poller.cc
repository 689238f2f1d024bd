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
                       std::function<void(bool)> on_readiness)
    : registry_(registry),
      options_(options),
      on_readiness_(std::move(on_readiness)),
      in_flight_(registry.size(), false),
      thread_([this] { Run(); }) {}

LoadPoller::~LoadPoller() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
  const absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::find(in_flight_.begin(), in_flight_.end(), true) == in_flight_.end();
  };
  mutex_.Await(absl::Condition(&idle));
}

void LoadPoller::Run() {
  while (true) {
    for (size_t i = 0; i < registry_.size(); ++i) Poll(i);
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.interval)) return;
  }
}

void LoadPoller::Poll(size_t index) {
  {
    const absl::MutexLock lock(&mutex_);
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
  on_readiness_(registry_.AnyReady());
  const absl::MutexLock lock(&mutex_);
  in_flight_[call.index] = false;
}

}  // namespace spearfish::server
