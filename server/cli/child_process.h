// One process that the launcher started.
#ifndef SERVER_CLI_CHILD_PROCESS_H_
#define SERVER_CLI_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace spearfish::server::cli {

// Owns the read end of the child's standard output. Used by one thread. Whoever reaps the pid
// (the supervisor, by waitpid) tells it nothing: it is then destroyed.
class ChildProcess {
 public:
  // Starts argv[0] with its standard output in a pipe and the other streams inherited. The child
  // is in a process group of its own (Ctrl-C reaches the launcher alone), has no blocked signals,
  // and gets SIGTERM should the launcher die. Internal with the reason if it can't be started.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& argv);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  int output_fd() const { return output_fd_; }

  // The complete lines that have arrived; never blocks. Closes the pipe at its end.
  std::vector<std::string> ReadLines();

  void Signal(int signal) const;

 private:
  ChildProcess(pid_t pid, int output_fd) : pid_(pid), output_fd_(output_fd) {}

  const pid_t pid_;
  int output_fd_;  // -1 once the child has closed its end
  std::string partial_line_;
};

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_CHILD_PROCESS_H_
