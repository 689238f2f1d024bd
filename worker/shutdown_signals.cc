#include "worker/shutdown_signals.h"

#include <unistd.h>

#include <cstdlib>

#include "common/base/log.h"

namespace spearfish::worker {

ShutdownSignals::ShutdownSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::thread([this] { Run(); });
}

ShutdownSignals::~ShutdownSignals() {
  stopping_.store(true);
  kill(getpid(), SIGTERM);  // blocked everywhere, so only the thread takes it
  thread_.join();
}

int ShutdownSignals::TakeSignal() {
  int signal = 0;
  while (sigwait(&signals_, &signal) != 0) {
  }
  return signal;
}

void ShutdownSignals::Run() {
  TakeSignal();
  if (stopping_.load()) return;
  if (!graceful_.load()) {
    LogInfo("stopped while loading");
    std::_Exit(0);
  }
  asked_.Notify();
  const int second = TakeSignal();
  if (stopping_.load()) return;
  LogWarning("second signal: ending without waiting for what runs");
  std::_Exit(128 + second);  // as a shell reports a death by signal
}

}  // namespace spearfish::worker
