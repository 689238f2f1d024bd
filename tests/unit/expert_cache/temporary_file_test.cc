#include "common/expert_cache/temporary_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

class TemporaryFileTest : public testing::Test {
 protected:
  // The number of a process that has ended.
  static pid_t DeadPid() {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
    return pid;
  }
  std::string Leftover(pid_t pid) const { return absl::StrCat(path_, ".tmp-", pid); }

  const tests::TempDir folder_;
  const std::string path_ = folder_.File("cache.sfc");
};

TEST_F(TemporaryFileTest, HasItsNameOnlyOnceCommitted) {
  tests::WriteFile(path_, "old");
  {
    const auto file = TemporaryFile::Create(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_EQ(write((*file)->fd(), "new", 3), 3);
    EXPECT_EQ(tests::ReadFile(path_), "old");
    EXPECT_TRUE((*file)->Commit().ok());
  }
  EXPECT_EQ(tests::ReadFile(path_), "new");
  EXPECT_FALSE(std::filesystem::exists(Leftover(getpid())));
}

TEST_F(TemporaryFileTest, IsGoneUnlessCommitted) {
  ASSERT_TRUE(TemporaryFile::Create(path_).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(TemporaryFileTest, RemovesWhatTheDeadLeftAndNothingElse) {
  const std::string dead = Leftover(DeadPid());
  const std::string mine = path_ + ".tmp-1";  // the first process always lives
  const std::string foreign = folder_.File("other.sfc.tmp-999999999");
  for (const std::string& file : {dead, mine, foreign, path_ + ".tmp-", path_ + ".tmp-12x"}) {
    tests::WriteFile(file, "x");
  }
  ASSERT_TRUE(TemporaryFile::Create(path_).ok());
  EXPECT_FALSE(std::filesystem::exists(dead));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()),
                          std::filesystem::directory_iterator()),
            4);
}

TEST_F(TemporaryFileTest, KeepsWhatSomebodyHasLocked) {
  const std::string locked = Leftover(DeadPid());
  tests::WriteFile(locked, "another container's");
  const int fd = open(locked.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  ASSERT_TRUE(TemporaryFile::Create(path_).ok());
  EXPECT_TRUE(std::filesystem::exists(locked));
  close(fd);
}

TEST_F(TemporaryFileTest, TwoWritersOfOneNameExcludeEachOther) {
  const auto first = TemporaryFile::Create(path_);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsUnavailable(TemporaryFile::Create(path_).status()));
}

}  // namespace
}  // namespace spearfish
