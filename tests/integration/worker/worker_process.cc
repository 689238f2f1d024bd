#include "tests/integration/worker/worker_process.h"

#include <grpcpp/create_channel.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/check.h"

namespace spearfish::worker {
namespace {

constexpr char kReadyPrefix[] = "spearfish-worker ready: ";

}  // namespace

std::string TestDeviceFlag() {
  const char* name = std::getenv("SPEARFISH_TEST_DEVICE");
  if (name == nullptr) return "--device=cpu";
  return absl::StrCat("--device=", absl::StripSuffix(name, ":f32"));
}

WorkerProcess::WorkerProcess(const std::vector<std::string>& arguments) {
  // Elsewhere when the binaries have travelled to another machine.
  const char* folder = std::getenv("SPEARFISH_BINARY_DIR");
  const std::string binary =
      absl::StrCat(folder == nullptr ? SPEARFISH_BINARY_DIR : folder, "/spearfish-worker");
  std::vector<char*> argv = {const_cast<char*>(binary.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int ends[2];
  SF_CHECK(pipe(ends) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  SF_CHECK(posix_spawn(&pid_, binary.c_str(), &actions, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  stdout_fd_ = ends[0];
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  close(stdout_fd_);
}

bool WorkerProcess::ReadLine(std::string& line) const {
  line.clear();
  char c = 0;
  while (read(stdout_fd_, &c, 1) == 1) {
    if (c == '\n') return true;
    line.push_back(c);
  }
  return false;
}

bool WorkerProcess::WaitUntilReady() {
  do {
    if (!ReadLine(ready_line_)) return false;
  } while (!absl::StartsWith(ready_line_, kReadyPrefix));
  const std::vector<std::string> words = absl::StrSplit(ready_line_, ' ');
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel =
      grpc::CreateCustomChannel(words[2], grpc::InsecureChannelCredentials(), arguments);
  inference_ = v1::InferenceService::NewStub(channel);
  control_ = v1::ControlService::NewStub(channel);
  // A first connection may fail on a loaded machine.
  return channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60));
}

void WorkerProcess::Signal(int signal) const { kill(pid_, signal); }

int WorkerProcess::Wait() {
  int status = 0;
  SF_CHECK(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace spearfish::worker
