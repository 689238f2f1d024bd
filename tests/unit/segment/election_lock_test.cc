#include "common/segment/election_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "tests/support/temp_dir.h"
#include "tests/unit/segment/child_process.h"

namespace spearfish {
namespace {

using tests::ChildProcess;

bool CanAcquire(const std::string& path) {
  const auto lock = ElectionLock::TryAcquire(path);
  EXPECT_TRUE(lock.ok()) << lock.status();
  return lock.ok() && *lock != nullptr;
}

TEST(ElectionLock, IsFreeAgainAfterItsHolder) {
  const tests::TempDir folder;
  const std::string path = folder.File("segment");
  EXPECT_TRUE(CanAcquire(path));
  EXPECT_TRUE(CanAcquire(path));
}

TEST(ElectionLock, ExcludesAnotherThread) {
  const tests::TempDir folder;
  const std::string path = folder.File("segment");
  const auto lock = ElectionLock::TryAcquire(path);
  ASSERT_TRUE(lock.ok() && *lock != nullptr);
  bool acquired = true;
  std::thread([&] { acquired = CanAcquire(path); }).join();
  EXPECT_FALSE(acquired);
}

TEST(ElectionLock, ExcludesAnotherProcessUntilItsDeath) {
  const tests::TempDir folder;
  const std::string path = folder.File("segment");
  ChildProcess child([&](const ChildProcess::Say& say) {
    const auto lock = ElectionLock::TryAcquire(path);
    say(lock.ok() && *lock != nullptr ? 'y' : 'n');
    pause();
    return 0;
  });
  ASSERT_EQ(child.Hear(), 'y');
  EXPECT_FALSE(CanAcquire(path));
  child.Kill();
  EXPECT_TRUE(CanAcquire(path));
}

TEST(ElectionLock, ALockOnADeletedFileExcludesNobody) {
  const tests::TempDir folder;
  const std::string path = folder.File("segment");
  ChildProcess child([&](const ChildProcess::Say& say) {
    const auto lock = ElectionLock::TryAcquire(path);
    (*lock)->RemoveFile();
    say('y');
    pause();
    return 0;
  });
  ASSERT_EQ(child.Hear(), 'y');
  EXPECT_TRUE(CanAcquire(path));
}

TEST(ElectionLock, ReportsAFolderThatIsNotThere) {
  const tests::TempDir folder;
  EXPECT_TRUE(absl::IsNotFound(ElectionLock::TryAcquire(folder.File("no/segment")).status()));
}

}  // namespace
}  // namespace spearfish
