#include "worker/experts/activation_counters.h"

#include <gtest/gtest.h>

#include <memory>

#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"

namespace spearfish::worker {
namespace {

TEST(ActivationCountersTest, StartAtZeroAndReadBackWhatTheDeviceCounted) {
  const auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
  ASSERT_TRUE(device.ok()) << device.status();
  const auto stream = (*device)->CreateStream("test");
  ASSERT_TRUE(stream.ok()) << stream.status();
  const auto counters = ActivationCounters::Create(**device, **stream, 2, 7);
  ASSERT_TRUE(counters.ok()) << counters.status();
  for (const uint32_t layer : {0u, 1u}) {
    ASSERT_EQ((*counters)->counts(layer).size(), 7u);
    for (const uint32_t count : (*counters)->counts(layer)) EXPECT_EQ(count, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>((*counters)->layer(layer)) % 16, 0u);
  }

  (*stream)->Fill((*counters)->layer(1) + 3, 1, sizeof(uint32_t));
  (*counters)->EnqueueRead(**stream);
  (*stream)->Synchronize();
  EXPECT_EQ((*counters)->counts(1)[3], 0x01010101u);
  EXPECT_EQ((*counters)->counts(1)[2], 0u);
  EXPECT_EQ((*counters)->counts(0)[3], 0u);
}

}  // namespace
}  // namespace spearfish::worker
