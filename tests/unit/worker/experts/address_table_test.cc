#include "worker/experts/address_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"
#include "tests/unit/worker/experts/watched_device.h"

namespace spearfish::worker {
namespace {

// The CPU device's memory can be read by the host once the stream has run.
class AddressTableTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto stream = device_->CreateStream("test");
    ASSERT_TRUE(stream.ok()) << stream.status();
    stream_ = *std::move(stream);
    std::vector<uint64_t> addresses(3 * 5);
    std::iota(addresses.begin(), addresses.end(), 100);
    auto table = AddressTable::Create(*device_, *stream_, 5, addresses);
    ASSERT_TRUE(table.ok()) << table.status();
    table_ = *std::move(table);
  }

  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<kernels::Stream> stream_;
  std::unique_ptr<AddressTable> table_;
};

TEST_F(AddressTableTest, HoldsEveryAddressFromTheStart) {
  for (uint32_t layer = 0; layer < 3; ++layer) {
    for (uint32_t expert = 0; expert < 5; ++expert) {
      EXPECT_EQ(table_->layer(layer)[expert], 100u + layer * 5 + expert);
      EXPECT_EQ(table_->address(layer, ExpertId{expert}), 100u + layer * 5 + expert);
    }
  }
}

TEST_F(AddressTableTest, EveryLayerIsAligned) {
  for (uint32_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(table_->layer(layer)) % 16, 0u);
  }
}

TEST_F(AddressTableTest, SetChangesOneEntry) {
  table_->Set(1, ExpertId{4}, 7);
  table_->Flush(*stream_);
  stream_->Synchronize();
  EXPECT_EQ(table_->layer(1)[4], 7u);
  EXPECT_EQ(table_->address(1, ExpertId{4}), 7u);
  EXPECT_EQ(table_->layer(1)[3], 108u);
  EXPECT_EQ(table_->layer(2)[0], 110u);
}

TEST_F(AddressTableTest, SetChangesNothingOnTheDeviceBeforeFlush) {
  table_->Set(1, ExpertId{4}, 7);
  EXPECT_TRUE(table_->dirty());
  stream_->Synchronize();
  EXPECT_EQ(table_->layer(1)[4], 109u);
  table_->Flush(*stream_);
  EXPECT_FALSE(table_->dirty());
}

TEST_F(AddressTableTest, FlushBringsChangesOfManyLayers) {
  table_->Set(0, ExpertId{0}, 1);
  table_->Set(2, ExpertId{4}, 2);
  table_->Set(2, ExpertId{4}, 3);
  table_->Flush(*stream_);
  table_->Flush(*stream_);  // nothing left
  stream_->Synchronize();
  EXPECT_EQ(table_->layer(0)[0], 1u);
  EXPECT_EQ(table_->layer(2)[4], 3u);
  EXPECT_EQ(table_->layer(1)[2], 107u);
}

TEST_F(AddressTableTest, FlushBringsLayersFarApart) {
  std::vector<uint64_t> addresses(size_t{40} * 512, 5);
  auto table = AddressTable::Create(*device_, *stream_, 512, addresses);
  ASSERT_TRUE(table.ok()) << table.status();
  for (const uint32_t layer : {0u, 1u, 20u, 39u}) (*table)->Set(layer, ExpertId{511}, layer);
  (*table)->Flush(*stream_);
  stream_->Synchronize();
  for (uint32_t layer = 0; layer < 40; ++layer) {
    const bool changed = layer < 2 || layer == 20 || layer == 39;
    EXPECT_EQ((*table)->layer(layer)[511], changed ? layer : 5);
    EXPECT_EQ((*table)->layer(layer)[510], 5u);
  }
}

TEST_F(AddressTableTest, SetLeavesAnUploadUnderWayAsItWas) {
  table_->Set(0, ExpertId{0}, 1);
  tests::StreamGate gate;
  gate.Hold(dynamic_cast<kernels::CpuStream&>(*stream_));
  table_->Flush(*stream_);
  std::thread opener([&gate] { gate.Release(); });
  table_->Set(0, ExpertId{0}, 2);  // waits for the upload, which brings 1
  EXPECT_EQ(table_->layer(0)[0], 1u);
  opener.join();
}

TEST_F(AddressTableTest, SaysWhenTheBudgetIsTooSmall) {
  auto small = kernels::CpuDevice::Create({.budget_bytes = 256});
  ASSERT_TRUE(small.ok()) << small.status();
  const auto table =
      AddressTable::Create(**small, *stream_, 5, std::vector<uint64_t>(size_t{5} * 100));
  EXPECT_EQ(table.status().code(), absl::StatusCode::kResourceExhausted);
}

class AddressTableDeathTest : public AddressTableTest {
 protected:
  // The device's threads run: the child starts the test anew instead of forking them.
  AddressTableDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(AddressTableDeathTest, ChecksIndices) {
  EXPECT_DEATH(table_->Set(3, ExpertId{0}, 7), "moe_layer");
  EXPECT_DEATH(table_->Set(0, ExpertId{5}, 7), "expert");
}

}  // namespace
}  // namespace spearfish::worker
