// Attaching and detaching, many times over, leaves nothing behind.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/numbers.h"
#include "tests/unit/segment/segment_fixture.h"

namespace spearfish {
namespace {

class SegmentLeakTest : public tests::SegmentFixture {};

// SPEARFISH_STRESS=1 runs the whole thousand.
int NumCycles() {
  int stress = 0;
  const char* const text = std::getenv("SPEARFISH_STRESS");
  return text != nullptr && absl::SimpleAtoi(text, &stress) && stress > 0 ? 1000 : 100;
}

ptrdiff_t NumOpenFiles() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

// Areas of this process's memory that come from a file in `folder`.
int NumMappings(const std::string& folder) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(folder) != line.npos ? 1 : 0;
  return count;
}

ptrdiff_t NumFiles(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder),
                       std::filesystem::directory_iterator());
}

TEST_F(SegmentLeakTest, AttachingKeepsNoFileMappingOrLock) {
  ASSERT_TRUE(Attach().ok());
  const ptrdiff_t files_before = NumFiles(directory_.path());
  const ptrdiff_t open_before = NumOpenFiles();
  for (int i = 0; i < NumCycles(); ++i) {
    const auto segment = Attach();
    ASSERT_TRUE(segment.ok()) << segment.status();
    EXPECT_EQ(NumMappings(directory_.path()), 1);
  }
  EXPECT_EQ(NumMappings(directory_.path()), 0);
  EXPECT_EQ(NumOpenFiles(), open_before);
  EXPECT_EQ(NumFiles(directory_.path()), files_before);
}

TEST_F(SegmentLeakTest, PopulatingAndRemovingKeepsNothing) {
  const ptrdiff_t open_before = NumOpenFiles();
  for (int i = 0; i < NumCycles() / 10; ++i) {
    ASSERT_TRUE(Attach().ok());
    ASSERT_TRUE(RemoveSegment(directory_.path(), Name()).ok());
    EXPECT_EQ(NumFiles(directory_.path()), 0);
  }
  EXPECT_EQ(NumMappings(directory_.path()), 0);
  EXPECT_EQ(NumOpenFiles(), open_before);
}

}  // namespace
}  // namespace spearfish
