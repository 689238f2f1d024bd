#include "common/expert_cache/cache_plan.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "common/expert_cache/format.h"
#include "tests/support/test_data.h"
#include "tests/unit/expert_cache/small_checkpoint.h"

namespace spearfish {
namespace {

using tests::SmallCheckpoint;
using tests::SmallOptions;

CacheGeometry Geometry() {
  return {.hidden = 64, .intermediate = 64, .num_experts = 3, .moe_layers = {true, false, true}};
}

TEST(CachePlan, LayersFollowEachOtherOnPages) {
  const CachePlan plan = CachePlan::Create({}, Geometry(), {}, "tiny").value();
  EXPECT_EQ(plan.num_layers(), 3u);
  EXPECT_EQ(plan.records_offset(), 8192u);
  EXPECT_EQ(plan.layer_offset(LayerId{0}), 8192u);
  EXPECT_EQ(plan.layer_offset(LayerId{1}), 0u);
  EXPECT_EQ(plan.layer_offset(LayerId{2}), 8192 + plan.layer_bytes());
  EXPECT_EQ(plan.layer_bytes(), 3 * plan.layout().record_bytes);
  EXPECT_EQ(plan.image_bytes(), 8192 + 2 * plan.layer_bytes());
  EXPECT_EQ(plan.image_bytes() % kCachePageBytes, 0u);
}

TEST(CachePlan, RefusesModelsWithoutExpertsAndAbsurdSizes) {
  CacheGeometry dense = Geometry();
  dense.moe_layers = {false, false};
  CacheGeometry none = Geometry();
  none.num_experts = 0;
  CacheGeometry many = Geometry();
  many.num_experts = 1u << 30;
  CacheGeometry odd = Geometry();
  odd.hidden = 100;
  for (const CacheGeometry& geometry : {dense, none, many, odd}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CachePlan::Create({}, geometry, {}, "tiny").status()));
  }
}

TEST(CachePlan, IdentityDependsOnCheckpointAndOptions) {
  const SmallCheckpoint base(SmallOptions());
  tests::SyntheticOptions sharded_options = SmallOptions();
  sharded_options.num_shards = 2;
  const SmallCheckpoint sharded(sharded_options);
  tests::SyntheticOptions theta_options = SmallOptions();
  theta_options.rope_theta = 5000;
  const SmallCheckpoint theta(theta_options);
  const std::set<CacheIdentity> identities = {
      IdentityOf(*base.checkpoint, {}), IdentityOf(*base.checkpoint, {.bits = 8}),
      IdentityOf(*base.checkpoint, {.bits = 4, .scale = ScaleMode::kAbsmax}),
      IdentityOf(*sharded.checkpoint, {}), IdentityOf(*theta.checkpoint, {})};
  EXPECT_EQ(identities.size(), 5u);
}

TEST(CachePlan, IdentityDoesNotDependOnTheFolder) {
  const SmallCheckpoint one(SmallOptions());
  const SmallCheckpoint two(SmallOptions());
  ASSERT_NE(one.folder.path(), two.folder.path());
  EXPECT_EQ(IdentityOf(*one.checkpoint, {}), IdentityOf(*two.checkpoint, {}));
}

TEST(CachePlan, NamesSegmentsByTheFirst16Digits) {
  CacheIdentity identity = {};
  identity[0] = 0xab;
  identity[7] = 0x01;
  identity[8] = 0xff;
  EXPECT_EQ(SegmentName(identity), "spearfish-ab00000000000001");
}

TEST(CachePlan, TakesTheFoldersNameForPeople) {
  const auto checkpoint = Checkpoint::Open(tests::BundledCheckpoint() + "/").value();
  const CachePlan plan = CachePlan::FromCheckpoint(*checkpoint, {}).value();
  EXPECT_EQ(plan.model_name(), "qwen3-moe-3m");
  EXPECT_EQ(plan.num_experts(), 16u);
  EXPECT_EQ(plan.moe_layers().size(), 4u);
}

}  // namespace
}  // namespace spearfish
