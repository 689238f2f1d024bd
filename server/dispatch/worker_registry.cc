#include "server/dispatch/worker_registry.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/dispatch/dispatch_policy.h"

namespace spearfish::server {
namespace {

std::unique_ptr<WorkerConnection> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // prompt log-probabilities can be large
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // A name stands for all its records.
  if (absl::StartsWith(address, "dns:///")) arguments.SetLoadBalancingPolicyName("round_robin");
  auto worker = std::make_unique<WorkerConnection>();
  worker->address = address;
  worker->channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  worker->inference = v1::InferenceService::NewStub(worker->channel);
  worker->control = v1::ControlService::NewStub(worker->channel);
  return worker;
}

}  // namespace

WorkerLease::WorkerLease(WorkerLease&& other) noexcept
    : registry_(std::exchange(other.registry_, nullptr)), index_(other.index_) {}

WorkerLease::~WorkerLease() {
  if (registry_ != nullptr) registry_->Release(index_);
}

const WorkerConnection& WorkerLease::worker() const { return registry_->worker(index_); }

absl::StatusOr<std::unique_ptr<WorkerRegistry>> WorkerRegistry::Create(
    const std::vector<std::string>& addresses) {
  if (addresses.empty()) {
    return absl::InvalidArgumentError("no workers; name at least one with --workers=ADDR");
  }
  absl::flat_hash_set<std::string> seen;
  std::unique_ptr<WorkerRegistry> registry(new WorkerRegistry());
  for (const std::string& address : addresses) {
    if (address.empty() || !seen.insert(address).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("empty or repeated worker address: '", address, "'; name each once"));
    }
    registry->workers_.push_back(Connect(address));
  }
  const MutexLock lock(registry->mutex_);
  registry->states_.resize(addresses.size());
  return registry;
}

absl::StatusOr<WorkerLease> WorkerRegistry::Acquire(const std::vector<size_t>& tried) {
  const MutexLock lock(mutex_);
  std::vector<WorkerCandidate> candidates(states_.size());
  for (size_t i = 0; i < states_.size(); ++i) {
    const v1::WorkerLoad& load = states_[i].load;
    candidates[i] = {
        .ready = load.ready(),
        .excluded = std::find(tried.begin(), tried.end(), i) != tried.end(),
        .in_flight = states_[i].in_flight,
        .reported = load.running_sequences() + load.waiting_sequences(),
    };
  }
  const std::optional<size_t> picked = PickLeastLoaded(candidates, turn_++);
  if (!picked.has_value()) {
    return absl::UnavailableError(absl::StrCat("no worker is ready: ", workers_.size(), " known, ",
                                               tried.size(),
                                               " tried; see `spearfish status`, then retry"));
  }
  ++states_[*picked].in_flight;
  return WorkerLease(*this, *picked);
}

void WorkerRegistry::Release(size_t index) {
  const MutexLock lock(mutex_);
  --states_[index].in_flight;
}

void WorkerRegistry::Report(size_t index, const std::optional<v1::WorkerLoad>& load) {
  const MutexLock lock(mutex_);
  if (load.has_value()) {
    states_[index].load = *load;
  } else {
    states_[index].load.set_ready(false);
  }
}

size_t WorkerRegistry::num_ready() const {
  const MutexLock lock(mutex_);
  return static_cast<size_t>(std::count_if(states_.begin(), states_.end(),
                                           [](const State& state) { return state.load.ready(); }));
}

std::vector<v1::WorkerLoad> WorkerRegistry::Loads() const {
  const MutexLock lock(mutex_);
  std::vector<v1::WorkerLoad> loads;
  for (size_t i = 0; i < states_.size(); ++i) {
    loads.push_back(states_[i].load);
    loads.back().set_address(workers_[i]->address);
    loads.back().set_in_flight(states_[i].in_flight);
  }
  return loads;
}

}  // namespace spearfish::server
