#include "common/safetensors/canonical_name.h"

#include <gtest/gtest.h>

namespace spearfish {
namespace {

TEST(CanonicalTensorName, DropsTheLanguageModelPrefix) {
  EXPECT_EQ(CanonicalTensorName("language_model.model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(CanonicalTensorName("model.language_model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(CanonicalTensorName("model.language_model.model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(CanonicalTensorName("language_model.lm_head.weight"), "lm_head.weight");
  EXPECT_EQ(CanonicalTensorName("model.language_model.lm_head.weight"), "lm_head.weight");
}

TEST(CanonicalTensorName, KeepsEveryOtherName) {
  for (const char* name : {"model.norm.weight", "lm_head.weight", "model.visual.proj.weight",
                           "vision_tower.norm.weight", "language_models.x", ""}) {
    EXPECT_EQ(CanonicalTensorName(name), name);
  }
}

}  // namespace
}  // namespace spearfish
