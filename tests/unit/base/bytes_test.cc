#include "common/base/bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace spearfish {
namespace {

TEST(Bytes, ParsesEveryUnit) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"0", 0},
      {"4096", 4096},
      {"12B", 12},
      {"64KiB", 64 * kKiB},
      {"64 kib", 64 * kKiB},
      {"512 MiB", 512 * kMiB},
      {" 3g ", 3 * kGiB},
      {"1.5 GiB", kGiB + kGiB / 2},
      {"2MB", 2'000'000},
      {"1 KB", 1000},
      {"1 GB", 1'000'000'000},
      {"1 TiB", 1024 * kGiB},
      {"1T", 1024 * kGiB},
      {"2 TB", 2'000'000'000'000},
  };
  for (const auto& [text, expected] : cases) {
    const auto bytes = ParseBytes(text);
    ASSERT_TRUE(bytes.ok()) << text;
    EXPECT_EQ(*bytes, expected) << text;
  }
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", " ", "GiB", "-1", "-1 GiB", "1.2.3", ".", "1 XiB", "1 GiB 2", "nan",
                           "inf", "1e3", "0x10", "10000000 TiB", "99999999999999999999"}) {
    const auto bytes = ParseBytes(text);
    ASSERT_FALSE(bytes.ok()) << text;
    EXPECT_EQ(bytes.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Bytes, FormatsWithTheLargestUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(12), "12 B");
  EXPECT_EQ(FormatBytes(608 * kKiB), "608 KiB");
  EXPECT_EQ(FormatBytes(3 * kMiB / 2), "1.5 MiB");
  EXPECT_EQ(FormatBytes(kGiB), "1.00 GiB");
}

TEST(Bytes, AlignsUp) {
  EXPECT_EQ(AlignUp(0, 256), 0u);
  EXPECT_EQ(AlignUp(1, 256), 256u);
  EXPECT_EQ(AlignUp(256, 256), 256u);
  EXPECT_EQ(AlignUp(257, 256), 512u);
}

}  // namespace
}  // namespace spearfish
