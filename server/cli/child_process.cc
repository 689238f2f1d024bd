#include "server/cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spearfish::server::cli {
namespace {

// After fork: only async-signal-safe calls. Never returns.
[[noreturn]] void ExecChild(char* const* argv, int output_fd, pid_t launcher) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != launcher) _exit(127);  // it died before the line above
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(output_fd, STDOUT_FILENO);
  execv(argv[0], argv);
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& argv) {
  std::array<int, 2> ends = {};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t launcher = getpid();
  const pid_t pid = fork();
  if (pid == 0) ExecChild(arguments.data(), ends[1], launcher);
  const int fork_errno = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return absl::ErrnoToStatus(fork_errno, absl::StrCat("cannot start ", argv[0]));
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, ends[0]));
}

ChildProcess::~ChildProcess() {
  if (output_fd_ >= 0) close(output_fd_);
}

std::vector<std::string> ChildProcess::ReadLines() {
  std::vector<std::string> lines;
  std::array<char, 4096> buffer;
  while (output_fd_ >= 0) {
    const ssize_t bytes = read(output_fd_, buffer.data(), buffer.size());
    if (bytes < 0) break;  // nothing more for now
    if (bytes == 0) {
      close(std::exchange(output_fd_, -1));
      break;
    }
    partial_line_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  for (size_t end = partial_line_.find('\n'); end != std::string::npos;
       end = partial_line_.find('\n')) {
    lines.push_back(partial_line_.substr(0, end));
    partial_line_.erase(0, end + 1);
  }
  return lines;
}

void ChildProcess::Signal(int signal) const { kill(pid_, signal); }

}  // namespace spearfish::server::cli
