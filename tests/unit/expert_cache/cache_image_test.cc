#include "common/expert_cache/cache_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "common/expert_cache/cache_builder.h"
#include "common/expert_cache/cache_view.h"
#include "tests/unit/expert_cache/small_checkpoint.h"

namespace spearfish {
namespace {

using testing::HasSubstr;
using tests::SmallCheckpoint;
using tests::SmallOptions;

// A whole image in memory, as a segment's populator leaves it.
std::vector<std::byte> BuildImage(const SmallCheckpoint& small, const QuantOptions& quant = {},
                                  uint32_t num_threads = 2) {
  const CachePlan plan = small.Plan(quant);
  std::vector<std::byte> image = NewHeaderBytes(plan);
  image.resize(plan.image_bytes());
  CacheImageWriter writer(image);
  for (const LayerId layer : plan.moe_layers()) {
    const auto checksum =
        PackLayer(*small.checkpoint, plan, layer, num_threads,
                  std::span(image).subspan(plan.layer_offset(layer), plan.layer_bytes()));
    EXPECT_TRUE(checksum.ok()) << checksum.status();
    writer.StoreLayerReady(layer, checksum.value_or(0));
  }
  writer.StoreState(CacheState::kReady);
  return image;
}

absl::Status OpenAndVerify(std::span<const std::byte> image) {
  const auto view = CacheView::Open(image);
  return view.ok() ? view->VerifyAll() : view.status();
}

template <typename T>
void Put(std::vector<std::byte>& image, size_t offset, T value) {
  std::memcpy(image.data() + offset, &value, sizeof(value));
}

class CacheImageTest : public testing::Test {
 protected:
  const SmallCheckpoint small_{SmallOptions()};
  const CachePlan plan_ = small_.Plan();
};

TEST_F(CacheImageTest, ReadsBackWhatWasPlanned) {
  const std::vector<std::byte> image = BuildImage(small_);
  const auto view = CacheView::Open(image);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->identity(), plan_.identity());
  EXPECT_TRUE(view->layout() == plan_.layout());
  EXPECT_EQ(view->quant().bits, 4u);
  EXPECT_EQ(view->quant().scale, ScaleMode::kMse);
  EXPECT_EQ(view->num_layers(), 3u);
  EXPECT_EQ(view->num_moe_layers(), 2u);
  EXPECT_EQ(view->num_experts(), 3u);
  EXPECT_EQ(view->num_records(), 6u);
  EXPECT_EQ(view->model_name(), plan_.model_name());
  EXPECT_TRUE(view->has_layer(LayerId{0}));
  EXPECT_FALSE(view->has_layer(LayerId{1}));
  EXPECT_TRUE(view->has_layer(LayerId{2}));
  EXPECT_FALSE(view->has_layer(LayerId{3}));
  EXPECT_TRUE(view->VerifyAll().ok());
  const auto record = view->Record(LayerId{2}, ExpertId{1});
  EXPECT_EQ(record.size(), plan_.layout().record_bytes);
  EXPECT_EQ(static_cast<uint64_t>(record.data() - image.data()),
            plan_.layer_offset(LayerId{2}) + plan_.layout().record_bytes);
}

TEST_F(CacheImageTest, ThreadsDoNotChangeTheBytes) {
  EXPECT_TRUE(BuildImage(small_, {}, 1) == BuildImage(small_, {}, 7));
}

TEST_F(CacheImageTest, SeparateAndFusedExpertsGiveTheSameRecords) {
  tests::SyntheticOptions fused_options = SmallOptions();
  fused_options.experts = tests::ExpertStorage::kFused;
  const SmallCheckpoint fused(fused_options);
  const std::vector<std::byte> one = BuildImage(small_);
  const std::vector<std::byte> two = BuildImage(fused);
  ASSERT_EQ(one.size(), two.size());
  EXPECT_TRUE(std::equal(one.begin() + static_cast<ptrdiff_t>(plan_.records_offset()), one.end(),
                         two.begin() + static_cast<ptrdiff_t>(plan_.records_offset())));
}

// Every bit of header and layer table, and one bit in each 61 bytes of the records.
TEST_F(CacheImageTest, OneFlippedBitAnywhereIsFound) {
  std::vector<std::byte> image = BuildImage(small_);
  ASSERT_TRUE(OpenAndVerify(image).ok());
  for (size_t at = 0; at < image.size(); at += at < plan_.records_offset() ? 1 : 61) {
    for (int bit = 0; bit < 8; ++bit) {
      if (at >= sizeof(CacheHeader) + 3 * sizeof(LayerEntry) && bit != static_cast<int>(at % 8)) {
        continue;  // beyond the table one bit a byte is enough
      }
      image[at] ^= std::byte{1} << bit;
      ASSERT_FALSE(OpenAndVerify(image).ok()) << "byte " << at << " bit " << bit;
      image[at] ^= std::byte{1} << bit;
    }
  }
  EXPECT_TRUE(OpenAndVerify(image).ok());
}

TEST_F(CacheImageTest, VerifyNamesTheDamagedLayer) {
  std::vector<std::byte> image = BuildImage(small_);
  image[plan_.layer_offset(LayerId{2}) + 100] ^= std::byte{0x10};
  const auto view = CacheView::Open(image);
  ASSERT_TRUE(view.ok());
  EXPECT_TRUE(view->VerifyLayer(LayerId{0}).ok());
  const absl::Status status = view->VerifyLayer(LayerId{2});
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("layer 2"));
}

TEST_F(CacheImageTest, TruncatedOrPaddedIsDataLoss) {
  std::vector<std::byte> image = BuildImage(small_);
  for (const size_t bytes :
       {image.size() - 1, image.size() - 4096, size_t{8192}, size_t{4097}, size_t{4096}}) {
    EXPECT_TRUE(absl::IsDataLoss(CacheView::Open(std::span(image).first(bytes)).status())) << bytes;
  }
  for (const size_t bytes : {size_t{0}, size_t{7}, size_t{4095}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CacheView::Open(std::span(image).first(bytes)).status()));
  }
  image.resize(image.size() + 4096);
  EXPECT_TRUE(absl::IsDataLoss(CacheView::Open(image).status()));
}

TEST_F(CacheImageTest, ForeignVersionIsFailedPrecondition) {
  std::vector<std::byte> image = BuildImage(small_);
  Put(image, offsetof(CacheHeader, version), kCacheVersion + 1);
  const absl::Status status = CacheView::Open(image).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("expert cache version mismatch: file 2, binary 1"));
}

TEST_F(CacheImageTest, ForeignMagicIsInvalidArgument) {
  std::vector<std::byte> image = BuildImage(small_);
  Put(image, 0, uint64_t{0x1234});
  EXPECT_TRUE(absl::IsInvalidArgument(CacheView::Open(image).status()));
}

TEST_F(CacheImageTest, NotReadyIsFailedPreconditionWithTheCount) {
  std::vector<std::byte> image = BuildImage(small_);
  CacheImageWriter writer(image);
  writer.StoreState(CacheState::kPopulating);
  writer.ClearLayerReady(LayerId{2});
  const absl::Status status = CacheView::Open(image).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 of 2 layers"));
  const auto header = CacheHeaderView::Open(image);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->num_layers_ready(), 1u);
  EXPECT_FALSE(header->layer_ready(LayerId{2}));
  writer.StoreState(CacheState::kReady);  // a lie: found
  EXPECT_TRUE(absl::IsDataLoss(CacheView::Open(image).status()));
}

TEST_F(CacheImageTest, NonFiniteWeightNamesLayerExpertProjectionAndIndex) {
  tests::SyntheticOptions options = SmallOptions();
  options.dtype = DType::kF32;
  tests::SyntheticCheckpoint content = tests::MakeSyntheticCheckpoint(options);
  for (tests::NamedTensor& tensor : content.tensors) {
    if (tensor.name != "model.layers.2.mlp.experts.1.up_proj.weight") continue;
    const float infinity = std::numeric_limits<float>::infinity();
    std::memcpy(tensor.bytes.data() + (5 * 64 + 9) * sizeof(float), &infinity, sizeof(infinity));
  }
  const tests::TempDir folder;
  tests::WriteSyntheticCheckpoint(content, options, folder.path());
  const auto checkpoint = Checkpoint::Open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const CachePlan plan = CachePlan::FromCheckpoint(**checkpoint, {}).value();
  std::vector<std::byte> records(plan.layer_bytes());
  EXPECT_TRUE(PackLayer(**checkpoint, plan, LayerId{0}, 2, records).ok());
  const absl::Status status = PackLayer(**checkpoint, plan, LayerId{2}, 2, records).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("layer 2 expert 1"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("up_proj[5, 9] = inf"));
}

}  // namespace
}  // namespace spearfish
