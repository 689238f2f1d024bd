#include "server/cli/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

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
                                   .stop_timeout = absl::Minutes(2)};
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

TEST_F(SupervisorTest, RestartsWhatDiesHoweverSoonAfterItWasReady) {
  for (const char* end : {"kill -9 $$", "exit 3"}) {
    int times_ready = 0;
    Supervisor supervisor({Shell(std::string("echo 'ready x'; ") + end)}, options_,
                          [&](const ProcessSpec& /*spec*/, const std::string& /*text*/) {
                            if (++times_ready == 3) kill(getpid(), SIGTERM);
                          });
    EXPECT_TRUE(supervisor.Run().ok()) << end;
    EXPECT_LE(times_ready, 4) << end;  // one more may start before the signal is taken
  }
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

TEST_F(SupervisorTest, StopsRanksInOrderAndEachAtOnce) {
  const tests::TempDir folder;
  const std::string at = folder.path() + "/";
  // Each of the two ends only when the other was told, too.
  const auto pair = [&](const std::string& name, const std::string& other) {
    ProcessSpec spec = Shell("trap 'cat " + at + "first > " + at + name + "; while [ ! -e " + at +
                             other + " ]; do :; done; echo ended >> " + at + name +
                             "; exit' TERM; echo 'ready x'; while :; do sleep 0.01; done");
    return spec;
  };
  ProcessSpec first = Shell("trap 'echo first > " + at +
                            "first; exit' TERM; echo 'ready x'; while :; do sleep 0.01; done");
  first.rank = 1;
  int num_ready = 0;
  Supervisor supervisor({pair("a", "b"), pair("b", "a"), first}, options_,
                        [&](const ProcessSpec& /*spec*/, const std::string& /*text*/) {
                          if (++num_ready == 3) kill(getpid(), SIGTERM);
                        });
  EXPECT_TRUE(supervisor.Run().ok());
  for (const char* const name : {"a", "b"}) {
    std::ifstream file(at + name);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(text, "first\nended\n");
  }
}

TEST_F(SupervisorTest, ASecondSignalKillsAllThatAreLeft) {
  const std::string stubborn = "trap '' TERM; echo 'ready x'; while :; do sleep 0.01; done";
  // Told to stop, it sends the second signal.
  ProcessSpec first =
      Shell("trap 'kill -INT $PPID' TERM; echo 'ready x'; while :; do sleep 0.01; done");
  first.rank = 1;
  int num_ready = 0;
  Supervisor supervisor({Shell(stubborn), Shell(stubborn), first},
                        {.stop_timeout = absl::InfiniteDuration()},
                        [&](const ProcessSpec& /*spec*/, const std::string& /*text*/) {
                          if (++num_ready == 3) kill(getpid(), SIGTERM);
                        });
  EXPECT_TRUE(supervisor.Run().ok());
}

}  // namespace
}  // namespace spearfish::server::cli
