#include "common/rpc/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/support/test_authority.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;
using tests::TestIdentity;

class TlsFilesTest : public ::testing::Test {
 protected:
  TlsFilesTest() {
    Put("key", first_.key);
    Put("cert", first_.certificate);
  }

  void Put(const std::string& name, const std::string& text) {
    std::ofstream(folder_.File("fresh"), std::ios::binary) << text;
    std::filesystem::rename(folder_.File("fresh"), folder_.File(name));
  }
  TlsFiles Files() const {
    return {.certificate = folder_.File("cert"),
            .key = folder_.File("key"),
            .look_interval = absl::ZeroDuration()};
  }

  tests::TempDir folder_;
  const tests::TestAuthority authority_{"authority"};
  const TestIdentity first_ = authority_.Issue({});
  const TestIdentity second_ = authority_.Issue({.common_name = "the second one"});
};

TEST_F(TlsFilesTest, KeepsThePairUntilTheNextIsWhole) {
  const auto files = OpenTlsFiles(Files());
  ASSERT_TRUE(files.ok()) << files.status();
  Put("key", second_.key);
  for (int i = 0; i < 3; ++i) EXPECT_EQ((*files)->Current()->key, first_.key);
  EXPECT_EQ((*files)->Current()->certificate, first_.certificate);
  Put("cert", second_.certificate);
  EXPECT_EQ((*files)->Current()->key, second_.key);
  EXPECT_EQ((*files)->Current()->certificate, second_.certificate);
}

TEST_F(TlsFilesTest, KeepsThePairWhileTheFilesAreBad) {
  const auto files = OpenTlsFiles(Files());
  ASSERT_TRUE(files.ok()) << files.status();
  const TestIdentity expired = authority_.Issue({.valid_until = -absl::Minutes(1)});
  Put("key", expired.key);
  Put("cert", expired.certificate);
  EXPECT_EQ((*files)->Current()->key, first_.key);
  Put("cert", "garbage");
  EXPECT_EQ((*files)->Current()->key, first_.key);
  std::filesystem::remove(folder_.File("key"));
  EXPECT_EQ((*files)->Current()->key, first_.key);
}

TEST_F(TlsFilesTest, WantsBothOfAPair) {
  TlsFiles files = Files();
  files.certificate.clear();
  EXPECT_THAT(std::string(OpenTlsFiles(files).status().message()),
              HasSubstr("--tls-key without --tls-cert"));
}

}  // namespace
}  // namespace spearfish
