#include "worker/experts/registered_records.h"

#include <gtest/gtest.h>

#include <memory>

#include "kernels/cpu/cpu_device.h"
#include "tests/unit/worker/experts/small_cache.h"

namespace spearfish::worker {
namespace {

class RegisteredRecordsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CpuDevice::Create({.budget_bytes = kMiB});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
  }

  // The CPU device reads a record where it lies.
  void ExpectRecordsInPlace(const RegisteredRecords& records) {
    size_t i = 0;
    for (const uint32_t layer : {0u, 2u}) {
      for (uint32_t expert = 0; expert < tests::SmallCache::kNumExperts; ++expert) {
        EXPECT_EQ(records.addresses()[i++],
                  reinterpret_cast<uint64_t>(
                      cache_.view().Record(LayerId{layer}, ExpertId{expert}).data()));
      }
    }
    EXPECT_EQ(records.addresses().size(), i);
  }

  tests::SmallCache cache_;
  std::unique_ptr<kernels::CpuDevice> device_;
};

TEST_F(RegisteredRecordsTest, ASmallCacheIsOnePiece) {
  const auto records = RegisteredRecords::Create(cache_.view(), *device_);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ((*records)->num_pieces(), 1u);
  ExpectRecordsInPlace(**records);
}

TEST_F(RegisteredRecordsTest, PiecesEndOnRecords) {
  const uint64_t record_bytes = cache_.view().layout().record_bytes;
  const auto records = RegisteredRecords::Create(cache_.view(), *device_, 3 * record_bytes + 1);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ((*records)->num_pieces(), 5u);  // 14 records, three a piece
  ExpectRecordsInPlace(**records);
}

TEST_F(RegisteredRecordsTest, ARecordLargerThanAPieceIsAPieceOfItsOwn) {
  const auto records = RegisteredRecords::Create(cache_.view(), *device_, 1);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ((*records)->num_pieces(), 14u);
  ExpectRecordsInPlace(**records);
}

TEST_F(RegisteredRecordsTest, TakesNoDeviceMemory) {
  const auto records = RegisteredRecords::Create(cache_.view(), *device_);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(device_->allocated_bytes(), 0u);
}

}  // namespace
}  // namespace spearfish::worker
