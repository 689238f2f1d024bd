#include "tests/unit/segment/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/base/check.h"

namespace spearfish::tests {

ChildProcess::ChildProcess(const std::function<int(const Say&)>& body) {
  int ends[2];
  SF_CHECK(pipe(ends) == 0);
  pid_ = fork();
  SF_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    close(ends[0]);
    _exit(body([fd = ends[1]](char c) { SF_CHECK(write(fd, &c, 1) == 1); }));
  }
  close(ends[1]);
  read_fd_ = ends[0];
}

ChildProcess::~ChildProcess() {
  if (!reaped_) Kill();
  close(read_fd_);
}

char ChildProcess::Hear() {
  char c = 0;
  return read(read_fd_, &c, 1) == 1 ? c : '\0';
}

void ChildProcess::Kill() {
  kill(pid_, SIGKILL);
  Wait();
}

int ChildProcess::Wait() {
  int status = 0;
  SF_CHECK(waitpid(pid_, &status, 0) == pid_);
  reaped_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace spearfish::tests
