// Starts processes, restarts those that die, stops them in order.
#ifndef SERVER_CLI_SUPERVISOR_H_
#define SERVER_CLI_SUPERVISOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/cli/child_process.h"

namespace spearfish::server::cli {

struct ProcessSpec {
  std::string name;               // for messages
  std::vector<std::string> argv;  // argv[0] is a path
  std::string ready_prefix;       // the process is ready once it prints a line that starts so
  int rank = 0;                   // the largest are stopped first, all of a rank together
};

struct SupervisorOptions {
  absl::Duration restart_delay = absl::Seconds(1);  // doubles with each death in a row
  absl::Duration restart_delay_max = absl::Seconds(30);
  absl::Duration stop_timeout = absl::Seconds(40);  // of the processes of a rank, then SIGKILL
};

// Owns the children and the calling thread for the length of Run. SIGINT, SIGTERM and SIGCHLD must
// be blocked in every thread before Run (BlockSignals).
class Supervisor {
 public:
  // `on_ready` gets the rest of a process's ready line each time one becomes ready.
  using OnReady = std::function<void(const ProcessSpec& spec, const std::string& rest)>;

  // Processes start in order.
  Supervisor(std::vector<ProcessSpec> specs, SupervisorOptions options, OnReady on_ready);

  static void BlockSignals();

  // Until SIGINT or SIGTERM (OK), or until a process ends by itself with a failure before it was
  // ever ready (FailedPrecondition: starting it again would not help). A second signal kills all of
  // them. All children have ended when it returns.
  absl::Status Run();

 private:
  struct Entry {
    ProcessSpec spec;
    std::unique_ptr<ChildProcess> child;  // null between death and restart
    bool ready = false;
    bool ever_ready = false;
    int deaths_in_a_row = 0;
    absl::Time restart_at = absl::InfinitePast();
  };

  absl::Status StartDue();
  absl::Status Reap();
  absl::Status Died(Entry& entry, int wait_status);
  void ReadOutputs();
  void Wait(int signal_fd, absl::Duration at_most);
  void StopAll(int signal_fd);
  void StopRank(int rank, int signal_fd);
  std::vector<Entry*> Alive(int rank);

  const SupervisorOptions options_;
  const OnReady on_ready_;
  std::vector<Entry> entries_;
  bool killing_ = false;  // a second signal came
};

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_SUPERVISOR_H_
