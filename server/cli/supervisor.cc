#include "server/cli/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace spearfish::server::cli {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(200);

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGCHLD);
  return signals;
}

// Takes what is pending; true if one of them asks to stop.
bool StopRequested(int signal_fd) {
  bool stop = false;
  signalfd_siginfo info;
  while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
    stop |= info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM;
  }
  return stop;
}

std::string HowItEnded(int wait_status) {
  if (WIFSIGNALED(wait_status)) return absl::StrCat("killed by signal ", WTERMSIG(wait_status));
  return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
}

}  // namespace

Supervisor::Supervisor(std::vector<ProcessSpec> specs, SupervisorOptions options, OnReady on_ready)
    : options_(options), on_ready_(std::move(on_ready)) {
  for (ProcessSpec& spec : specs) {
    entries_.emplace_back();
    entries_.back().spec = std::move(spec);
  }
}

void Supervisor::BlockSignals() {
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

absl::Status Supervisor::Run() {
  const sigset_t signals = WatchedSignals();
  const int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signal_fd < 0) return absl::ErrnoToStatus(errno, "cannot watch signals");
  const absl::Cleanup close_fd = [signal_fd] { close(signal_fd); };
  absl::Status status;
  while (status.ok()) {
    status = StartDue();
    if (!status.ok()) break;
    Wait(signal_fd, kTick);
    ReadOutputs();
    if (StopRequested(signal_fd)) break;
    status = Reap();
  }
  StopAll(signal_fd);
  return status;
}

absl::Status Supervisor::StartDue() {
  const absl::Time now = absl::Now();
  for (Entry& entry : entries_) {
    if (entry.child != nullptr || now < entry.restart_at) continue;
    SF_ASSIGN_OR_RETURN(entry.child, ChildProcess::Start(entry.spec.argv));
  }
  return absl::OkStatus();
}

void Supervisor::Wait(int signal_fd, absl::Duration at_most) {
  std::vector<pollfd> watched = {{.fd = signal_fd, .events = POLLIN, .revents = 0}};
  for (const Entry& entry : entries_) {
    if (entry.child == nullptr || entry.child->output_fd() < 0) continue;
    watched.push_back({.fd = entry.child->output_fd(), .events = POLLIN, .revents = 0});
  }
  poll(watched.data(), watched.size(), static_cast<int>(absl::ToInt64Milliseconds(at_most)));
}

void Supervisor::ReadOutputs() {
  for (Entry& entry : entries_) {
    if (entry.child == nullptr) continue;
    for (const std::string& line : entry.child->ReadLines()) {
      if (entry.ready || !absl::StartsWith(line, entry.spec.ready_prefix)) continue;
      entry.ready = entry.ever_ready = true;
      entry.deaths_in_a_row = 0;
      on_ready_(entry.spec, line.substr(entry.spec.ready_prefix.size()));
    }
  }
}

absl::Status Supervisor::Reap() {
  for (Entry& entry : entries_) {
    int wait_status = 0;
    if (entry.child == nullptr || waitpid(entry.child->pid(), &wait_status, WNOHANG) <= 0) continue;
    ReadOutputs();  // what it said since the last look
    SF_RETURN_IF_ERROR(Died(entry, wait_status));
  }
  return absl::OkStatus();
}

absl::Status Supervisor::Died(Entry& entry, int wait_status) {
  entry.child.reset();
  entry.ready = false;
  if (!entry.ever_ready && WIFEXITED(wait_status)) {
    return absl::FailedPreconditionError(absl::StrCat(entry.spec.name, " ", HowItEnded(wait_status),
                                                      " before it was ready; its reason is above"));
  }
  const absl::Duration delay =
      std::min(options_.restart_delay * (1 << std::min(entry.deaths_in_a_row, 16)),
               options_.restart_delay_max);
  ++entry.deaths_in_a_row;
  entry.restart_at = absl::Now() + delay;
  LogWarning(absl::StrCat(entry.spec.name, " ", HowItEnded(wait_status), "; starting it again in ",
                          absl::FormatDuration(delay)));
  return absl::OkStatus();
}

void Supervisor::StopAll(int signal_fd) {
  std::set<int, std::greater<>> ranks;
  for (const Entry& entry : entries_) ranks.insert(entry.spec.rank);
  for (const int rank : ranks) StopRank(rank, signal_fd);
}

void Supervisor::StopRank(int rank, int signal_fd) {
  for (Entry* const entry : Alive(rank)) entry->child->Signal(SIGTERM);
  const absl::Time deadline = absl::Now() + options_.stop_timeout;
  while (!killing_ && absl::Now() < deadline && !Alive(rank).empty()) {
    Wait(signal_fd, kTick);
    ReadOutputs();  // a full pipe would keep one from ending
    killing_ = StopRequested(signal_fd);
  }
  for (Entry* const entry : Alive(rank)) {
    LogWarning(absl::StrCat(entry->spec.name, killing_ ? ": " : " did not stop; ", "killing it"));
    entry->child->Signal(SIGKILL);
    waitpid(entry->child->pid(), nullptr, 0);
    entry->child.reset();
  }
}

// Takes in those that have ended.
std::vector<Supervisor::Entry*> Supervisor::Alive(int rank) {
  std::vector<Entry*> alive;
  for (Entry& entry : entries_) {
    if (entry.spec.rank != rank || entry.child == nullptr) continue;
    if (waitpid(entry.child->pid(), nullptr, WNOHANG) == 0) {
      alive.push_back(&entry);
    } else {
      entry.child.reset();
    }
  }
  return alive;
}

}  // namespace spearfish::server::cli
