#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/worker/worker_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish::worker {
namespace {

int ExitStatus(const std::vector<std::string>& arguments) {
  return WorkerProcess(arguments).Wait();
}

TEST(CommandLine, HelpAndVersionEndWell) {
  EXPECT_EQ(ExitStatus({"--help"}), 0);
  EXPECT_EQ(ExitStatus({"--version"}), 0);
}

TEST(CommandLine, UsageErrorsEndWithTwo) {
  const std::string model = "--model=" + tests::BundledCheckpoint();
  EXPECT_EQ(ExitStatus({}), 2);
  EXPECT_EQ(ExitStatus({model, "--bits=5"}), 2);
  EXPECT_EQ(ExitStatus({model, "--dense-bits=4"}), 2);
  EXPECT_EQ(ExitStatus({model, "--scale=best"}), 2);
  EXPECT_EQ(ExitStatus({model, "--device=tpu"}), 2);
  EXPECT_EQ(ExitStatus({model, "--vram-budget=much"}), 2);
  EXPECT_EQ(ExitStatus({model, "--max-num-seqs=0"}), 2);
  EXPECT_EQ(ExitStatus({model, "--max-num-seqs=-1"}), 2);
  EXPECT_EQ(ExitStatus({model, "--max-num-seqs=64", "--max-num-batched-tokens=63"}), 2);
  EXPECT_EQ(ExitStatus({model, "--listen=nowhere"}), 2);
  EXPECT_EQ(ExitStatus({model, "--no-such-flag"}), 2);
}

TEST(CommandLine, FailuresEndWithOne) {
  const tests::TempDir folder;
  const std::string model = "--model=" + tests::BundledCheckpoint();
  const std::string listen = "--listen=unix:" + folder.File("w.sock");
  const std::string segments = "--shm-dir=" + folder.path();
  EXPECT_EQ(ExitStatus({"--model=" + folder.File("none"), listen, segments}), 1);
  EXPECT_EQ(ExitStatus({model, listen, segments, "--device=cuda:99"}), 1);
  EXPECT_EQ(ExitStatus({model, listen, segments, "--vram-budget=1KiB"}), 1);
  EXPECT_EQ(ExitStatus({model, "--listen=unix:" + folder.File("none/w.sock"), segments}), 1);
}

}  // namespace
}  // namespace spearfish::worker
