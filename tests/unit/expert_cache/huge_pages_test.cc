#include "common/expert_cache/huge_pages.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/base/bytes.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/cache_plan.h"
#include "tests/support/temp_dir.h"

namespace spearfish {
namespace {

constexpr uint64_t kHuge = 64 * kKiB;  // as if pages were this large

// The header of an image in a file as long as whole pages.
std::vector<std::byte> PaddedFile(uint64_t& image_bytes) {
  const CachePlan plan =
      CachePlan::Create(
          {}, {.hidden = 64, .intermediate = 64, .num_experts = 3, .moe_layers = {true, true}}, {},
          "small")
          .value();
  std::vector<std::byte> file = NewHeaderBytes(plan);
  image_bytes = plan.image_bytes();
  file.resize(FileBytes(image_bytes, kHuge));
  return file;
}

TEST(HugePages, OtherFileSystemsHaveNone) {
  const tests::TempDir folder;
  EXPECT_EQ(HugePageBytes(folder.path()), 0u);
  EXPECT_EQ(HugePageBytes(folder.File("none")), 0u);
  EXPECT_EQ(FileBytes(12345, 0), 12345u);
}

TEST(HugePages, FilesAreWholePages) {
  EXPECT_EQ(FileBytes(1, kHuge), kHuge);
  EXPECT_EQ(FileBytes(kHuge, kHuge), kHuge);
  EXPECT_EQ(FileBytes(kHuge + 1, kHuge), 2 * kHuge);
}

TEST(HugePages, TrimsTheZerosOfTheLastPage) {
  uint64_t image_bytes = 0;
  const std::vector<std::byte> file = PaddedFile(image_bytes);
  ASSERT_LT(image_bytes, file.size());
  EXPECT_EQ(TrimToImage(file, kHuge).size(), image_bytes);
  EXPECT_TRUE(CacheHeaderView::Open(TrimToImage(file, kHuge)).ok());
}

TEST(HugePages, TrimsNothingElse) {
  uint64_t image_bytes = 0;
  std::vector<std::byte> file = PaddedFile(image_bytes);
  EXPECT_EQ(TrimToImage(file, 0).size(), file.size());  // not on hugetlbfs
  file.resize(file.size() + kHuge);
  EXPECT_EQ(TrimToImage(file, kHuge).size(), file.size());  // a page too many
  file.resize(file.size() - kHuge);
  file[image_bytes] = std::byte{1};
  EXPECT_EQ(TrimToImage(file, kHuge).size(), file.size());  // not zeros
  EXPECT_FALSE(CacheHeaderView::Open(TrimToImage(file, kHuge)).ok());
  EXPECT_EQ(TrimToImage(std::span(file).first(100), kHuge).size(), 100u);
}

}  // namespace
}  // namespace spearfish
