#include "server/dispatch/worker_registry.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/dispatch/route_key.h"

namespace spearfish::server {

// `connection` is immutable, the rest is the registry's, under its mutex.
struct RegisteredWorker {
  RegisteredWorker(WorkerConnection to, const CircuitBreakerOptions& breaker_options)
      : connection(std::move(to)), hash(HashBytes(connection.address)), breaker(breaker_options) {}

  const WorkerConnection connection;
  const uint64_t hash;
  v1::WorkerLoad load;  // as last reported; `ready` false before the first report
  uint32_t in_flight = 0;
  uint32_t in_flight_at_report = 0;
  uint32_t num_late = 0;    // reports, in a row
  uint64_t num_failed = 0;  // calls
  CircuitBreaker breaker;
};

namespace {

constexpr uint32_t kUnknownCapacity = 64;

bool Contains(const std::vector<WorkerId>& ids, WorkerId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

WorkerLease::WorkerLease(WorkerLease&& other) noexcept
    : registry_(std::exchange(other.registry_, nullptr)),
      worker_(std::move(other.worker_)),
      num_sequences_(other.num_sequences_),
      kind_(other.kind_) {}

WorkerLease::~WorkerLease() {
  if (registry_ == nullptr) return;
  const MutexLock lock(registry_->mutex_);
  worker_->in_flight -= num_sequences_;
  if (kind_ == Kind::kTrial) worker_->breaker.Abandoned();
  // Under the lock: Sweep counts the references.
  worker_.reset();
}

const WorkerConnection& WorkerLease::worker() const { return worker_->connection; }

void WorkerLease::Succeeded() {
  const MutexLock lock(registry_->mutex_);
  kind_ = Kind::kUsual;
  worker_->breaker.Succeeded();
}

void WorkerLease::Failed() {
  const MutexLock lock(registry_->mutex_);
  kind_ = Kind::kUsual;
  worker_->breaker.Failed(registry_->options_.clock());
  worker_->load.set_ready(false);
  ++worker_->num_failed;
}

WorkerRegistry::WorkerRegistry(const std::vector<std::string>& addresses, DispatchOptions options,
                               ChannelSecurity& security)
    : options_(std::move(options)), security_(security), budget_(options_.retry) {
  SetWorkers(addresses);
}

absl::Status WorkerRegistry::Validate(const std::vector<std::string>& addresses) {
  absl::flat_hash_set<std::string> seen;
  for (const std::string& address : addresses) {
    if (address.empty() || !seen.insert(address).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("empty or repeated worker address: '", address, "'; name each once"));
    }
  }
  return absl::OkStatus();
}

WorkerRegistry::Worker WorkerRegistry::Connect(const std::string& address) {
  return std::make_shared<RegisteredWorker>(
      ConnectToWorker(WorkerId{next_id_++}, address, options_.worker_silence, security_),
      options_.breaker);
}

void WorkerRegistry::RenewConnections() {
  const uint64_t version = security_.Current().version;
  const MutexLock lock(mutex_);
  for (Worker& worker : workers_) {
    if (worker->connection.security_version == version) continue;
    Worker renewed = Connect(worker->connection.address);
    renewed->load = worker->load;  // it is ready as before
    gone_.push_back(std::exchange(worker, std::move(renewed)));
  }
}

void WorkerRegistry::SetWorkers(const std::vector<std::string>& addresses) {
  const MutexLock lock(mutex_);
  std::vector<Worker> before = std::move(workers_);
  workers_.clear();
  absl::flat_hash_set<std::string> seen;
  for (const std::string& address : addresses) {
    if (!seen.insert(address).second) continue;
    const auto stays = std::find_if(before.begin(), before.end(), [&](const Worker& worker) {
      return worker != nullptr && worker->connection.address == address;
    });
    if (stays != before.end()) {
      workers_.push_back(std::move(*stays));
    } else {
      workers_.push_back(Connect(address));
    }
  }
  for (Worker& worker : before) {
    if (worker != nullptr) gone_.push_back(std::move(worker));
  }
}

void WorkerRegistry::Sweep() {
  std::vector<Worker> unused;  // destroyed without the lock: a channel's end may wait for callbacks
  const MutexLock lock(mutex_);
  const auto first_unused = std::partition(
      gone_.begin(), gone_.end(), [](const Worker& worker) { return worker.use_count() > 1; });
  std::move(first_unused, gone_.end(), std::back_inserter(unused));
  gone_.erase(first_unused, gone_.end());
}

std::vector<WorkerCandidate> WorkerRegistry::Candidates(const std::vector<WorkerId>& tried,
                                                        absl::Time now) const {
  std::vector<WorkerCandidate> candidates;
  candidates.reserve(workers_.size());
  bool any_open = false;
  for (const Worker& worker : workers_) {
    const uint32_t reported = worker->load.running_sequences() + worker->load.waiting_sequences();
    candidates.push_back(
        {.ready = worker->load.ready() && worker->breaker.Allows(now),
         .excluded = Contains(tried, worker->connection.id),
         .load = EstimateLoad(reported, worker->in_flight_at_report, worker->in_flight),
         .capacity = worker->load.max_running_sequences(),
         .hash = worker->hash});
    any_open |= candidates.back().ready && !candidates.back().excluded;
  }
  if (any_open) return candidates;
  for (size_t i = 0; i < workers_.size(); ++i) candidates[i].ready = workers_[i]->load.ready();
  return candidates;
}

absl::StatusOr<WorkerLease> WorkerRegistry::Acquire(const RouteRequest& request,
                                                    const std::vector<WorkerId>& tried) {
  const absl::Time now = options_.clock();
  const MutexLock lock(mutex_);
  const std::vector<WorkerCandidate> candidates = Candidates(tried, now);
  const std::optional<size_t> picked = PickWorker(options_.policy, candidates,
                                                  {.affinity_key = request.affinity_key,
                                                   .turn = turn_++,
                                                   .random = absl::Uniform<uint64_t>(random_),
                                                   .load_factor = options_.load_factor});
  if (!picked.has_value()) {
    return absl::UnavailableError(absl::StrCat("no worker is ready: ", workers_.size(), " known, ",
                                               tried.size(),
                                               " tried; see `spearfish status`, then retry"));
  }
  RegisteredWorker& worker = *workers_[*picked];
  worker.in_flight += request.num_sequences;
  const bool trial = worker.breaker.Started(now);
  return WorkerLease(*this, workers_[*picked], request.num_sequences,
                     trial ? WorkerLease::Kind::kTrial : WorkerLease::Kind::kUsual);
}

RegisteredWorker* WorkerRegistry::Find(WorkerId id) const {
  const auto found = std::find_if(workers_.begin(), workers_.end(), [id](const Worker& worker) {
    return worker->connection.id == id;
  });
  return found == workers_.end() ? nullptr : found->get();
}

void WorkerRegistry::Report(WorkerId id, const std::optional<v1::WorkerLoad>& load,
                            ReportTime asked) {
  const MutexLock lock(mutex_);
  RegisteredWorker* const worker = Find(id);
  if (worker == nullptr) return;  // it left meanwhile
  worker->num_late = 0;
  if (!load.has_value()) {
    worker->load.set_ready(false);
    return;
  }
  if (asked.num_failed != worker->num_failed) return;
  worker->load = *load;
  worker->in_flight_at_report = asked.in_flight;
}

void WorkerRegistry::ReportLate(WorkerId id) {
  const MutexLock lock(mutex_);
  RegisteredWorker* const worker = Find(id);
  if (worker != nullptr && ++worker->num_late > 1) worker->load.set_ready(false);
}

ReportTime WorkerRegistry::ReportTimeOf(WorkerId id) const {
  const MutexLock lock(mutex_);
  const RegisteredWorker* const worker = Find(id);
  if (worker == nullptr) return {};
  return {.in_flight = worker->in_flight, .num_failed = worker->num_failed};
}

void WorkerRegistry::CountRequest() {
  const MutexLock lock(mutex_);
  budget_.CountRequest();
}

bool WorkerRegistry::TakeRetry() {
  const MutexLock lock(mutex_);
  return budget_.TakeRetry();
}

size_t WorkerRegistry::size() const {
  const MutexLock lock(mutex_);
  return workers_.size();
}

size_t WorkerRegistry::num_ready() const {
  const MutexLock lock(mutex_);
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(),
                                           [](const Worker& w) { return w->load.ready(); }));
}

uint64_t WorkerRegistry::capacity() const {
  const MutexLock lock(mutex_);
  uint64_t sequences = 0;
  for (const Worker& worker : workers_) {
    if (!worker->load.ready()) continue;
    const uint32_t said = worker->load.max_running_sequences();
    sequences += said == 0 ? kUnknownCapacity : said;
  }
  return sequences;
}

std::vector<std::shared_ptr<const WorkerConnection>> WorkerRegistry::Connections() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<const WorkerConnection>> connections;
  connections.reserve(workers_.size());
  for (const Worker& worker : workers_) connections.emplace_back(worker, &worker->connection);
  return connections;
}

std::vector<std::shared_ptr<const WorkerConnection>> WorkerRegistry::AllConnections() const {
  std::vector<std::shared_ptr<const WorkerConnection>> connections = Connections();
  const MutexLock lock(mutex_);
  for (const Worker& worker : gone_) connections.emplace_back(worker, &worker->connection);
  return connections;
}

std::vector<WorkerStatus> WorkerRegistry::Statuses() const {
  const absl::Time now = options_.clock();
  const MutexLock lock(mutex_);
  std::vector<WorkerStatus> statuses;
  for (const Worker& worker : workers_) {
    statuses.push_back({worker->load, worker->breaker.state(now)});
    statuses.back().load.set_address(worker->connection.address);
    statuses.back().load.set_in_flight(worker->in_flight);
  }
  return statuses;
}

std::vector<v1::WorkerLoad> WorkerRegistry::Loads() const {
  std::vector<v1::WorkerLoad> loads;
  for (WorkerStatus& status : Statuses()) loads.push_back(std::move(status.load));
  return loads;
}

}  // namespace spearfish::server
