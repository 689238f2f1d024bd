#include "common/segment/bus_error_message.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

// Read by the signal handler, which may come at any time: a message is never changed or freed.
std::atomic<const std::string*> current_message = nullptr;

void OnBusError(int signal, siginfo_t* info, void* /*context*/) {
  if (info->si_code == BUS_ADRERR) {
    const std::string& message = *current_message.load(std::memory_order_acquire);
    const ssize_t written = write(STDERR_FILENO, message.data(), message.size());
    static_cast<void>(written);  // there is nobody else to tell
    _exit(128 + signal);
  }
  std::signal(signal, SIG_DFL);  // the fault comes again, and ends the process
}

}  // namespace

void ExplainBusErrors(absl::string_view message) {
  current_message.store(new std::string(absl::StrCat(message, "\n")), std::memory_order_release);
  struct sigaction action = {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace spearfish
