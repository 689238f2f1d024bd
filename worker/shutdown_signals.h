// SIGTERM and SIGINT, turned into a request that main waits for.
#ifndef WORKER_SHUTDOWN_SIGNALS_H_
#define WORKER_SHUTDOWN_SIGNALS_H_

#include <csignal>

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"

namespace spearfish::worker {

// Owns a thread that takes the signals; constructed first thing in main, because threads inherit
// the mask that keeps the signals from them. One a process.
class ShutdownSignals {
 public:
  // Until BeGraceful, a signal ends the process at once with status 0: loading has nothing that
  // would have to be finished, and the segment survives its populator.
  ShutdownSignals();
  ~ShutdownSignals();
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

  // From now on the first signal lets Wait return; the second ends the process at once.
  void BeGraceful() { graceful_.store(true); }
  void Wait() { asked_.WaitForNotification(); }

 private:
  void Run();
  int TakeSignal();

  sigset_t signals_;
  std::atomic<bool> graceful_{false};
  std::atomic<bool> stopping_{false};
  absl::Notification asked_;
  std::thread thread_;
};

}  // namespace spearfish::worker

#endif  // WORKER_SHUTDOWN_SIGNALS_H_
