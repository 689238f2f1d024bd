#include "worker/experts/expert_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"
#include "tests/unit/worker/experts/small_cache.h"

namespace spearfish::worker {
namespace {

class ExpertStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto stream = device_->CreateStream("test");
    ASSERT_TRUE(stream.ok()) << stream.status();
    stream_ = *std::move(stream);
    auto store = ExpertStore::Create(cache_.view(), *device_, *stream_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  tests::SmallCache cache_;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<kernels::Stream> stream_;
  std::unique_ptr<ExpertStore> store_;
};

TEST_F(ExpertStoreTest, EveryExpertIsServedFromTheCache) {
  for (const uint32_t layer : {0u, 2u}) {
    for (uint32_t expert = 0; expert < tests::SmallCache::kNumExperts; ++expert) {
      EXPECT_EQ(store_->addresses(LayerId{layer})[expert],
                reinterpret_cast<uint64_t>(
                    cache_.view().Record(LayerId{layer}, ExpertId{expert}).data()));
    }
  }
}

TEST_F(ExpertStoreTest, NumbersMoeLayersOnly) {
  EXPECT_EQ(store_->num_moe_layers(), 2u);
  EXPECT_EQ(store_->MoeIndex(LayerId{0}), 0u);
  EXPECT_EQ(store_->MoeIndex(LayerId{2}), 1u);
}

TEST_F(ExpertStoreTest, LayoutIsTheCachesNumberForNumber) {
  const RecordLayout& cache = cache_.view().layout();
  const kernels::ExpertLayout& layout = store_->layout();
  EXPECT_EQ(layout.hidden, cache.hidden);
  EXPECT_EQ(layout.intermediate, cache.intermediate);
  EXPECT_EQ(layout.bits, cache.bits);
  EXPECT_EQ(layout.slice_channels, cache.slice_channels);
  EXPECT_EQ(layout.num_slices, cache.num_slices);
  EXPECT_EQ(layout.w13_group, cache.w13_group);
  EXPECT_EQ(layout.w2_group, cache.w2_group);
  EXPECT_EQ(layout.gate_offset, cache.gate_offset);
  EXPECT_EQ(layout.up_offset, cache.up_offset);
  EXPECT_EQ(layout.w13_scales_offset, cache.w13_scales_offset);
  EXPECT_EQ(layout.w2_offset, cache.w2_offset);
  EXPECT_EQ(layout.w2_scales_offset, cache.w2_scales_offset);
  EXPECT_EQ(layout.slice_bytes, cache.slice_bytes);
  EXPECT_EQ(layout.record_bytes, cache.record_bytes);
}

class ExpertStoreDeathTest : public ExpertStoreTest {
 protected:
  // The device's threads run: the child starts the test anew instead of forking them.
  ExpertStoreDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(ExpertStoreDeathTest, ChecksThatTheLayerHasExperts) {
  EXPECT_DEATH(store_->MoeIndex(LayerId{1}), "kNotMoe");
  EXPECT_DEATH(store_->MoeIndex(LayerId{3}), "moe_index_");
}

}  // namespace
}  // namespace spearfish::worker
