#include "common/rpc/file_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace spearfish {
namespace {

class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() { Write("a"); }

  void Write(const std::string& text) {
    std::ofstream(folder_.File("fresh")) << text;
    std::filesystem::rename(folder_.File("fresh"), folder_.File("watched"));
  }
  FileWatchOptions Options() {
    return {.what = "test file",
            .paths = {folder_.File("watched"), ""},
            .interval = absl::Seconds(1),
            .clock = [this] { return now_; }};
  }
  void Pass(absl::Duration time) { now_ += time; }

  tests::TempDir folder_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1000);
};

TEST_F(FileWatchTest, LooksOnceAnInterval) {
  FileWatch watch(Options());
  Write("b");
  EXPECT_FALSE(watch.Changed());
  Pass(absl::Seconds(1));
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Changed());
}

TEST_F(FileWatchTest, IsQuietUntilTheNextChange) {
  FileWatch watch(Options());
  Pass(absl::Seconds(1));
  EXPECT_FALSE(watch.Changed());
  Write("b");
  Pass(absl::Seconds(1));
  ASSERT_TRUE(watch.Changed());
  watch.Tried(absl::OkStatus());
  Pass(absl::Seconds(1));
  EXPECT_FALSE(watch.Changed());
}

TEST_F(FileWatchTest, TriesAgainAfterAFailure) {
  FileWatch watch(Options());
  Write("b");
  for (int i = 0; i < 3; ++i) {
    Pass(absl::Seconds(1));
    ASSERT_TRUE(watch.Changed());
    watch.Tried(absl::InvalidArgumentError("bad"));
  }
}

TEST_F(FileWatchTest, SeesAFileGoAndComeBack) {
  FileWatch watch(Options());
  std::filesystem::remove(folder_.File("watched"));
  Pass(absl::Seconds(1));
  ASSERT_TRUE(watch.Changed());
  watch.Tried(absl::NotFoundError("gone"));
  Write("back");  // of another length: it may get the inode of "a", and clocks are coarse
  Pass(absl::Seconds(1));
  EXPECT_TRUE(watch.Changed());
}

}  // namespace
}  // namespace spearfish
