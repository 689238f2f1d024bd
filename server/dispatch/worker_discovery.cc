#include "server/dispatch/worker_discovery.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/countdown.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace spearfish::server {
namespace {

constexpr char kDnsScheme[] = "dns:///";

bool IsName(const std::string& address) { return absl::StartsWith(address, kDnsScheme); }

std::string ToAddress(const addrinfo& info) {
  char text[INET6_ADDRSTRLEN] = "";
  if (info.ai_family == AF_INET6) {
    const auto* address = reinterpret_cast<const sockaddr_in6*>(info.ai_addr);
    inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof(text));
    return absl::StrCat("ipv6:[", text, "]:", ntohs(address->sin6_port));
  }
  const auto* address = reinterpret_cast<const sockaddr_in*>(info.ai_addr);
  inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
  return absl::StrCat("ipv4:", text, ":", ntohs(address->sin_port));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseWorkersFile(absl::string_view text) {
  std::vector<std::string> addresses;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view address =
        absl::StripAsciiWhitespace(line.substr(0, std::min(line.find('#'), line.size())));
    if (address.empty()) continue;
    const bool spaced = std::any_of(address.begin(), address.end(), absl::ascii_isspace);
    if (spaced || address.find(':') == absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("not a worker address: line ", number, ", '", address.substr(0, 128),
                       "'; write HOST:PORT, unix:PATH or dns:///NAME:PORT, one a line"));
    }
    addresses.emplace_back(address);
  }
  if (addresses.empty()) {
    return absl::InvalidArgumentError("no worker address in the file; write one a line");
  }
  return addresses;
}

absl::StatusOr<std::vector<std::string>> ResolveWorkers(const std::string& dns_address) {
  const absl::string_view target = absl::StripPrefix(dns_address, kDnsScheme);
  const size_t colon = target.rfind(':');
  if (colon == absl::string_view::npos || colon == 0 || colon + 1 == target.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a worker address: '", dns_address, "'; write dns:///NAME:PORT"));
  }
  const std::string host(target.substr(0, colon));
  const std::string port(target.substr(colon + 1));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("can't resolve ", dns_address, ": ", gai_strerror(error)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  std::set<std::string> addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (info->ai_family == AF_INET || info->ai_family == AF_INET6) {
      addresses.insert(ToAddress(*info));
    }
  }
  return std::vector<std::string>(addresses.begin(), addresses.end());
}

absl::StatusOr<std::unique_ptr<WorkerDiscovery>> WorkerDiscovery::Create(WorkerRegistry& registry,
                                                                         DiscoveryOptions options) {
  std::unique_ptr<WorkerDiscovery> discovery(new WorkerDiscovery(registry, std::move(options)));
  const DiscoveryOptions& kept = discovery->options_;
  if (!kept.file.empty()) SF_RETURN_IF_ERROR(discovery->ReadFile());
  discovery->Tell();
  if (!kept.file.empty() || std::any_of(kept.addresses.begin(), kept.addresses.end(), IsName)) {
    WorkerDiscovery* const self = discovery.get();
    self->thread_ = std::thread([self] { self->Run(); });
  }
  return discovery;
}

WorkerDiscovery::~WorkerDiscovery() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_changed_.SignalAll();
  if (thread_.joinable()) thread_.join();
}

absl::Status WorkerDiscovery::ReadFile() {
  std::ifstream file(options_.file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    return absl::NotFoundError(absl::StrCat("can't read the workers file: ", options_.file,
                                            "; does it exist, and may this user read it?"));
  }
  absl::StatusOr<std::vector<std::string>> addresses = ParseWorkersFile(text);
  if (!addresses.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("workers file ", options_.file, ": ", addresses.status().message()));
  }
  from_file_ = *std::move(addresses);
  return absl::OkStatus();
}

void WorkerDiscovery::Resolve(const std::string& address) {
  absl::StatusOr<std::vector<std::string>> now = ResolveWorkers(address);
  SayOnce(address, now.status());
  if (now.ok()) resolved_[address] = *std::move(now);
}

void WorkerDiscovery::SayOnce(const std::string& source, const absl::Status& status) {
  std::string& said = said_[source];
  if (said == status.message()) return;
  said = std::string(status.message());
  if (!status.ok()) LogWarning(absl::StrCat(said, " (the workers stay as they were)"));
}

std::vector<std::string> WorkerDiscovery::Addresses() const {
  std::vector<std::string> all = options_.addresses;
  all.insert(all.end(), from_file_.begin(), from_file_.end());
  return all;
}

void WorkerDiscovery::Tell() {
  std::vector<std::string> all;
  for (const std::string& address : Addresses()) {
    if (!IsName(address)) {
      all.push_back(address);
      continue;
    }
    const std::vector<std::string>& found = resolved_[address];
    all.insert(all.end(), found.begin(), found.end());
  }
  registry_.SetWorkers(all);
}

void WorkerDiscovery::Run() {
  do {
    if (!options_.file.empty()) SayOnce(options_.file, ReadFile());
    for (const std::string& address : Addresses()) {
      if (Stopping()) return;
      if (IsName(address)) Resolve(address);
    }
    Tell();
  } while (!SleepOrStop());
}

bool WorkerDiscovery::Stopping() {
  const MutexLock lock(mutex_);
  return stopping_;
}

bool WorkerDiscovery::SleepOrStop() {
  const Countdown end(options_.interval);
  const MutexLock lock(mutex_);
  while (!stopping_ && !end.passed()) stop_changed_.WaitFor(mutex_, end.left());
  return stopping_;
}

}  // namespace spearfish::server
