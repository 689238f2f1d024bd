#include "kernels/cuda/cuda_device.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/cuda_kernels.h"
#include "tests/gpu/host_mapping.h"

namespace spearfish::kernels {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kBudget = uint64_t{256} << 20;

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto device = CudaDevice::Create({.budget_bytes = kBudget});
    if (absl::IsNotFound(device.status())) GTEST_SKIP() << device.status();
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    stream_ = MakeStream();
  }

  std::unique_ptr<Stream> MakeStream() { return *device_->CreateStream("test"); }
  std::unique_ptr<Buffer> Allocate(size_t bytes) { return *device_->Allocate(bytes, "test"); }
  std::unique_ptr<Buffer> Pinned(size_t bytes) { return *device_->AllocateHost(bytes); }
  // Bytes that tell where they came from.
  static std::byte Pattern(size_t i) { return static_cast<std::byte>(i * 31 + i / 251); }

  std::unique_ptr<CudaDevice> device_;
  std::unique_ptr<Stream> stream_;
};

TEST(CudaDeviceCreateTest, NoSuchDeviceSaysSo) {
  const absl::Status status = CudaDevice::Create({.ordinal = 99, .budget_bytes = 1024}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such CUDA device: 99"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("or use the device cpu"));
}

TEST_F(CudaDeviceTest, DescribesItselfAndKeepsTheBudget) {
  EXPECT_EQ(device_->info().name, "cuda:0");
  EXPECT_THAT(device_->info().description, HasSubstr("multiprocessors"));
  EXPECT_EQ(device_->info().budget_bytes, kBudget);
  auto most = device_->Allocate(kBudget, "all");
  ASSERT_TRUE(most.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*most)->data()) % 256, 0u);
  const absl::Status status = device_->Allocate(1, "one byte").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("one byte"));
  EXPECT_EQ(device_->allocated_bytes(), kBudget);
  most->reset();
  EXPECT_EQ(device_->allocated_bytes(), 0u);
  EXPECT_TRUE(device_->Allocate(1, "one byte").ok());
}

TEST_F(CudaDeviceTest, FreedNeighboursAreJoined) {
  auto a = Allocate(kBudget / 4);
  auto b = Allocate(kBudget / 4);
  auto c = Allocate(kBudget / 2);
  a.reset();
  c.reset();
  b.reset();
  EXPECT_TRUE(device_->Allocate(kBudget, "all").ok());
}

TEST_F(CudaDeviceTest, TooLargeABudgetIsAnError) {
  const absl::Status status = CudaDevice::Create({.budget_bytes = uint64_t{1} << 50}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("lower the budget"));
}

TEST_F(CudaDeviceTest, CopiesAndFillsInOrder) {
  constexpr size_t kBytes = 1000003;
  const auto host = Pinned(kBytes);
  const auto back = Pinned(kBytes);
  const auto there = Allocate(kBytes);
  const auto other = Allocate(kBytes);
  for (size_t i = 0; i < kBytes; ++i) host->as<std::byte>()[i] = Pattern(i);
  stream_->Copy(there->data(), host->data(), kBytes);
  stream_->Copy(other->data(), there->data(), kBytes);
  stream_->Fill(other->as<std::byte>() + 7, 0xee, 100);
  stream_->Copy(back->data(), other->data(), kBytes);
  stream_->Synchronize();
  for (size_t i = 0; i < kBytes; ++i) {
    const std::byte expected = i >= 7 && i < 107 ? std::byte{0xee} : Pattern(i);
    ASSERT_EQ(back->as<std::byte>()[i], expected) << i;
  }
}

TEST_F(CudaDeviceTest, EventsOrderStreams) {
  constexpr size_t kBytes = size_t{64} << 20;
  const auto other = MakeStream();
  auto event = device_->CreateEvent();
  ASSERT_TRUE(event.ok());
  EXPECT_TRUE((*event)->Done());  // nothing recorded
  const auto a = Allocate(kBytes);
  const auto b = Allocate(kBytes);
  const auto back = Pinned(kBytes);
  for (uint8_t round = 1; round <= 5; ++round) {
    for (int i = 0; i < 10; ++i) stream_->Fill(a->data(), 0, kBytes);
    stream_->Fill(a->data(), round, kBytes);
    stream_->Record(**event);
    other->Wait(**event);
    other->Copy(b->data(), a->data(), kBytes);
    other->Copy(back->data(), b->data(), kBytes);
    other->Synchronize();
    EXPECT_TRUE((*event)->Done());
    ASSERT_EQ(back->as<uint8_t>()[0], round);
    ASSERT_EQ(back->as<uint8_t>()[kBytes - 1], round);
  }
  stream_->Record(**event);
  (*event)->Synchronize();
  EXPECT_TRUE((*event)->Done());
}

// Records of a shared mapping, read-only and registered in two pieces, to slots in one call.
TEST_F(CudaDeviceTest, CopiesABatchFromARegisteredMapping) {
  constexpr size_t kRecord = 12288;
  constexpr size_t kRecords = 1000;
  HostMapping cache(kRecord * kRecords);
  for (size_t i = 0; i < kRecord * kRecords; ++i) cache.writable()[i] = Pattern(i);
  const size_t half = kRecord * kRecords / 2;
  auto first = device_->RegisterHost(cache.readable().first(half));
  auto second = device_->RegisterHost(cache.readable().subspan(half));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  // One address for the whole mapping: pieces follow each other on the device too.
  EXPECT_EQ(static_cast<const std::byte*>((*first)->device_address()) + half,
            (*second)->device_address());
  const auto slots = Allocate(kRecord * kRecords);
  const auto back = Pinned(kRecord * kRecords);
  std::vector<CopyEntry> entries;
  for (size_t r = 0; r < kRecords; ++r) {
    const size_t slot = r * 7 % kRecords;
    entries.push_back(
        {slots->as<std::byte>() + slot * kRecord, cache.readable().data() + r * kRecord, kRecord});
  }
  entries.push_back({nullptr, nullptr, 0});
  stream_->CopyBatch(entries);
  entries.clear();  // read before the call returned
  stream_->CopyBatch({});
  stream_->Copy(back->data(), slots->data(), back->bytes());
  stream_->Synchronize();
  for (size_t r = 0; r < kRecords; ++r) {
    const size_t slot = r * 7 % kRecords;
    ASSERT_EQ(std::memcmp(back->as<std::byte>() + slot * kRecord,
                          cache.readable().data() + r * kRecord, kRecord),
              0)
        << "record " << r;
  }
}

TEST_F(CudaDeviceTest, PagesCanBeRegisteredAgainAfterRelease) {
  HostMapping cache(1 << 20);
  auto first = device_->RegisterHost(cache.readable());
  ASSERT_TRUE(first.ok()) << first.status();
  first->reset();
  EXPECT_TRUE(device_->RegisterHost(cache.readable()).ok());
}

TEST_F(CudaDeviceTest, GraphsReplayWhatWasCaptured) {
  constexpr size_t kBytes = 4096;
  const auto a = Allocate(kBytes);
  const auto b = Allocate(kBytes);
  const auto back = Pinned(kBytes);
  stream_->Fill(b->data(), 1, kBytes);
  stream_->BeginCapture();
  stream_->Fill(a->data(), 9, kBytes);
  stream_->CopyBatch(std::vector<CopyEntry>{{b->as<std::byte>(), a->data(), 100},
                                            {b->as<std::byte>() + 200, a->data(), 100}});
  const std::unique_ptr<Graph> graph = stream_->EndCapture();
  stream_->Copy(back->data(), b->data(), kBytes);
  stream_->Synchronize();
  EXPECT_EQ(back->as<uint8_t>()[0], 1);  // captured, not run
  stream_->Launch(*graph);
  stream_->Copy(back->data(), b->data(), kBytes);
  stream_->Synchronize();
  EXPECT_EQ(back->as<uint8_t>()[99], 9);
  EXPECT_EQ(back->as<uint8_t>()[100], 1);
  EXPECT_EQ(back->as<uint8_t>()[299], 9);
}

TEST_F(CudaDeviceTest, KernelsRefuseOtherActivations) {
  const absl::Status status = CudaKernels::Create(*device_, {.activations = DType::kF16}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

using CudaDeviceDeathTest = CudaDeviceTest;

// A kernel that reads where nothing is meets a sticky error: the process ends with call and place.
TEST_F(CudaDeviceDeathTest, AnErrorEndsTheProcessWithCallAndPlace) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const auto kernels = *CudaKernels::Create(*device_, {});
        const auto ids = Allocate(4096);
        const auto out = Allocate(4096);
        stream_->Fill(ids->data(), 0, 4096);
        kernels->Embed(
            {.ids = ids->as<int32_t>(),
             .table = {reinterpret_cast<const void*>(uintptr_t{0x1000}), DType::kBF16, 16, 64},
             .out = out->data(),
             .num_rows = 4},
            *stream_);
        stream_->Synchronize();
      },
      ::testing::ExitedWithCode(70), "CUDA call failed: .*cuda_stream");
}

}  // namespace
}  // namespace spearfish::kernels
