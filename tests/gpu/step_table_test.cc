#include "tests/gpu/step_table.h"

#include <vector>

#include "gtest/gtest.h"

namespace spearfish::gpu {
namespace {

TEST(StepTable, AddsUpCallsOfEachNameAStep) {
  const std::vector<Activity> two_steps = {{"a", 1000, 2000},   {"b", 2500, 6500},
                                           {"a", 7000, 8000},   {"a", 9000, 10000},
                                           {"b", 10500, 14500}, {"a", 15000, 16000}};
  const StepTable table = MakeStepTable(two_steps, 2);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0].name, "b");
  EXPECT_DOUBLE_EQ(table.rows[0].calls, 1);
  EXPECT_DOUBLE_EQ(table.rows[0].micros, 4);
  EXPECT_DOUBLE_EQ(table.rows[1].calls, 2);
  EXPECT_DOUBLE_EQ(table.rows[1].micros, 2);
  EXPECT_DOUBLE_EQ(table.sum_micros, 6);
  ASSERT_TRUE(table.spans.has_value());
  EXPECT_DOUBLE_EQ(table.spans->span_micros, 7);
  EXPECT_DOUBLE_EQ(table.spans->busy_micros, 6);
}

TEST(StepTable, CountsAnActivityFromWhenAllBeforeItHaveEnded) {
  const std::vector<Activity> step = {{"a", 0, 3000}, {"b", 1000, 2000}, {"c", 2500, 4000}};
  const StepTable table = MakeStepTable(step, 1);
  EXPECT_DOUBLE_EQ(table.sum_micros, 4);
  EXPECT_EQ(table.rows[0].name, "a");
  EXPECT_DOUBLE_EQ(table.rows[0].micros, 3);
  EXPECT_EQ(table.rows[1].name, "c");
  EXPECT_DOUBLE_EQ(table.rows[1].micros, 1);
  ASSERT_TRUE(table.spans.has_value());
  EXPECT_DOUBLE_EQ(table.spans->busy_micros, 4);
  EXPECT_DOUBLE_EQ(table.spans->span_micros, 4);
}

TEST(StepTable, HasNoSpansWhenStepsDiffer) {
  const std::vector<Activity> uneven = {{"a", 0, 1000}, {"a", 2000, 3000}, {"a", 4000, 5000}};
  EXPECT_FALSE(MakeStepTable(uneven, 2).spans.has_value());
}

TEST(StepTable, ShortensKernelNames) {
  EXPECT_EQ(KernelName("_ZN9spearfish7kernels12_GLOBAL__N_110ReadKernelEPK5uint4mPj"),
            "ReadKernel");
  // As nvcc spells a namespace without a name.
  EXPECT_EQ(KernelName("_ZN9spearfish7kernels38_GLOBAL__N__dc83f3c9_6_moe_cu_ed48e5d416"
                       "FindGroupsKernelEPKijjPhPiPj"),
            "FindGroupsKernel");
  EXPECT_EQ(KernelName("_ZN9spearfish7kernels4GemvILj8EEEvPKvi"), "Gemv<8u>");
  EXPECT_EQ(KernelName("plain_c_name"), "plain_c_name");
}

}  // namespace
}  // namespace spearfish::gpu
