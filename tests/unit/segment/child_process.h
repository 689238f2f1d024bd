// A forked child that runs one function, and a pipe over which it says how far it is.
#ifndef TESTS_UNIT_SEGMENT_CHILD_PROCESS_H_
#define TESTS_UNIT_SEGMENT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>

namespace spearfish::tests {

// Owns the child: killed and reaped by the destructor unless it was waited for. Fork only while the
// test process has one thread.
class ChildProcess {
 public:
  // Runs in the child: Say(c) sends one character to the parent.
  using Say = std::function<void(char)>;

  // The child exits with what `body` returns.
  explicit ChildProcess(const std::function<int(const Say&)>& body);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // The next character that the child says; 0 when it has died.
  char Hear();
  void Kill();  // SIGKILL, and waits until it is gone
  int Wait();   // its exit status, -1 for a signal

 private:
  pid_t pid_ = 0;
  int read_fd_ = -1;
  bool reaped_ = false;
};

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_SEGMENT_CHILD_PROCESS_H_
