#include "server/cli/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

namespace spearfish::server::cli {
namespace {

using ::testing::HasSubstr;

ProcessSpec Shell(const std::string& script) {
  return {.name = "shell", .argv = {"/bin/sh", "-c", script}, .ready_prefix = "ready "};
}

// The supervisor watches this process's signals, so each test stops it by one to itself.
class SupervisorTest : public ::testing::Test {
 protected:
  void SetUp() override { Supervisor::BlockSignals(); }

  const SupervisorOptions options_{.restart_delay = absl::Milliseconds(1),
                                   .restart_delay_max = absl::Milliseconds(10),
                                   .stop_timeout = absl::Seconds(10)};
};

TEST_F(SupervisorTest, ReportsReadinessAndStopsOnSigterm) {
  std::string rest;
  Supervisor supervisor({Shell("echo noise; echo ready at 5; exec sleep 100")}, options_,
                        [&](const ProcessSpec& /*spec*/, const std::string& text) {
                          rest = text;
                          kill(getpid(), SIGTERM);
                        });
  EXPECT_TRUE(supervisor.Run().ok());
  EXPECT_EQ(rest, "at 5");
}

TEST_F(SupervisorTest, RestartsWhatDies) {
  int times_ready = 0;
  Supervisor supervisor({Shell("echo 'ready x'; kill -9 $$")}, options_,
                        [&](const ProcessSpec& /*spec*/, const std::string& /*text*/) {
                          if (++times_ready == 3) kill(getpid(), SIGTERM);
                        });
  EXPECT_TRUE(supervisor.Run().ok());
  EXPECT_EQ(times_ready, 3);
}

TEST_F(SupervisorTest, GivesUpWhenAProcessFailsBeforeItWasReady) {
  Supervisor supervisor({Shell("exec sleep 100"), Shell("exit 3")}, options_,
                        [](const ProcessSpec& /*spec*/, const std::string& /*text*/) {});
  const absl::Status status = supervisor.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("exited with status 3"));
}

TEST_F(SupervisorTest, NamesABinaryThatIsNotThere) {
  Supervisor supervisor({{.name = "gone", .argv = {"/nonexistent/binary"}, .ready_prefix = "x"}},
                        options_, [](const ProcessSpec& /*spec*/, const std::string& /*text*/) {});
  EXPECT_THAT(std::string(supervisor.Run().message()), HasSubstr("gone exited with status 127"));
}

TEST_F(SupervisorTest, KillsWhatIgnoresSigterm) {
  const SupervisorOptions impatient{.stop_timeout = absl::Milliseconds(50)};
  Supervisor supervisor(
      {Shell("trap '' TERM; echo 'ready x'; while :; do sleep 1; done")}, impatient,
      [](const ProcessSpec& /*spec*/, const std::string& /*text*/) { kill(getpid(), SIGTERM); });
  EXPECT_TRUE(supervisor.Run().ok());
}

}  // namespace
}  // namespace spearfish::server::cli
