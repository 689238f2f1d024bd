// A spearfish-worker process, started and stopped by a test.
#ifndef TESTS_INTEGRATION_WORKER_WORKER_PROCESS_H_
#define TESTS_INTEGRATION_WORKER_WORKER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::worker {

// SPEARFISH_TEST_DEVICE without what only tests know of (tests/golden/test_device.h):
// "--device=cpu".
std::string TestDeviceFlag();
inline bool TestDeviceIsCpu() { return TestDeviceFlag() == "--device=cpu"; }

// Owns the process; the destructor kills it if it still runs.
class WorkerProcess {
 public:
  // Starts the binary with `arguments`; its stdout comes to this process, its stderr to the test's.
  explicit WorkerProcess(const std::vector<std::string>& arguments);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Reads stdout up to the ready line and connects; false when the process ended before.
  bool WaitUntilReady();
  const std::string& ready_line() const { return ready_line_; }
  v1::InferenceService::Stub& inference() { return *inference_; }
  v1::ControlService::Stub& control() { return *control_; }

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // Waits for the end; the exit status, or 128 + the signal.
  int Wait();

 private:
  bool ReadLine(std::string& line) const;

  pid_t pid_ = -1;
  int stdout_fd_ = -1;
  std::string ready_line_;
  std::unique_ptr<v1::InferenceService::Stub> inference_;
  std::unique_ptr<v1::ControlService::Stub> control_;
};

}  // namespace spearfish::worker

#endif  // TESTS_INTEGRATION_WORKER_WORKER_PROCESS_H_
