#include "common/rpc/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;

constexpr char kOld[] = "old-old-old-old-old";
// Of another length: tests are faster than the clock of file systems.
constexpr char kNew[] = "new-new-new-new-new-new";

class TokenFileTest : public ::testing::Test {
 protected:
  // As secrets are replaced: a new file takes the old one's place.
  void Replace(const std::string& text, mode_t mode = 0600) {
    const std::string fresh = folder_.File("fresh");
    std::ofstream(fresh) << text;
    ASSERT_EQ(chmod(fresh.c_str(), mode), 0);
    std::filesystem::rename(fresh, path_);
  }
  absl::StatusOr<std::unique_ptr<TokenFile>> Open() const {
    return TokenFile::Open({.path = path_, .look_interval = absl::ZeroDuration()});
  }

  tests::TempDir folder_;
  const std::string path_ = folder_.File("tokens");
};

TEST_F(TokenFileTest, FollowsTheFile) {
  Replace(kOld);
  const auto tokens = Open();
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_TRUE((*tokens)->NameOf(kOld).has_value());
  EXPECT_FALSE((*tokens)->NameOf(kNew).has_value());
  Replace(kNew);
  EXPECT_TRUE((*tokens)->NameOf(kNew).has_value());
  EXPECT_FALSE((*tokens)->NameOf(kOld).has_value());
}

TEST_F(TokenFileTest, KeepsItsTokensWhileTheFileIsBad) {
  Replace(kOld);
  const auto tokens = Open();
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  for (const char* bad : {"", "short", "a b c"}) {
    Replace(bad);
    EXPECT_TRUE((*tokens)->NameOf(kOld).has_value()) << bad;
  }
  std::filesystem::remove(path_);
  EXPECT_TRUE((*tokens)->NameOf(kOld).has_value());
  Replace(kNew, 0644);
  EXPECT_FALSE((*tokens)->NameOf(kNew).has_value());
  Replace(kNew);
  EXPECT_TRUE((*tokens)->NameOf(kNew).has_value());
}

TEST_F(TokenFileTest, RefusesOneThatEverybodyMayReadOrWrite) {
  for (const mode_t mode : {0604, 0602, 0644}) {
    Replace(kOld, mode);
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_THAT(std::string(status.message()), HasSubstr("--auth-tokens-file"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
    EXPECT_THAT(std::string(status.message()), HasSubstr("chmod"));
  }
  Replace(kOld, 0440);
  EXPECT_TRUE(Open().ok());
}

TEST_F(TokenFileTest, SaysWhatIsMissing) {
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace spearfish
