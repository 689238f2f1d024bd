#include "common/base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;

TEST(MappedFile, ShowsTheFileByteForByte) {
  const tests::TempDir dir;
  const std::string content("a\0b\xff", 4);
  tests::WriteFile(dir.File("f"), content);
  const auto file = MappedFile::Open(dir.File("f"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ((*file)->bytes().size(), content.size());
  EXPECT_EQ(std::memcmp((*file)->bytes().data(), content.data(), content.size()), 0);
  EXPECT_EQ((*file)->path(), dir.File("f"));
}

TEST(MappedFile, OutlivesTheNameOfTheFile) {
  const tests::TempDir dir;
  tests::WriteFile(dir.File("f"), "kept");
  const auto file = MappedFile::Open(dir.File("f"));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(std::remove(dir.File("f").c_str()), 0);
  EXPECT_EQ(std::memcmp((*file)->bytes().data(), "kept", 4), 0);
}

TEST(MappedFile, OpensAnEmptyFile) {
  const tests::TempDir dir;
  tests::WriteFile(dir.File("f"), "");
  const auto file = MappedFile::Open(dir.File("f"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->bytes().empty());
}

TEST(MappedFile, NamesAPathThatIsAbsentOrNoFile) {
  const tests::TempDir dir;
  const auto absent = MappedFile::Open(dir.File("absent"));
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr(dir.File("absent")));
  const auto folder = MappedFile::Open(dir.path());
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(folder.status().message()), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace spearfish
