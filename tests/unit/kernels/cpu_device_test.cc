#include "kernels/cpu/cpu_device.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_kernels.h"

namespace spearfish::kernels {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<CpuDevice> MakeDevice(uint64_t budget) {
  auto device = CpuDevice::Create({.budget_bytes = budget, .num_threads = 2, .name = "cpu"});
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

TEST(CpuDeviceTest, DescribesItself) {
  const auto device = MakeDevice(1 << 20);
  EXPECT_EQ(device->info().name, "cpu");
  EXPECT_THAT(device->info().description, HasSubstr("2 threads, "));
  EXPECT_EQ(device->info().budget_bytes, uint64_t{1} << 20);
}

TEST(CpuDeviceTest, BuffersGiveTheirBytesBack) {
  const auto device = MakeDevice(1 << 20);
  auto buffer = device->Allocate(1000, "weights");
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ((*buffer)->bytes(), 1000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*buffer)->data()) % 256, 0u);
  EXPECT_EQ(device->allocated_bytes(), 1024u);
  buffer->reset();
  EXPECT_EQ(device->allocated_bytes(), 0u);
}

TEST(CpuDeviceTest, BudgetIsKept) {
  const auto device = MakeDevice(1 << 20);
  auto most = device->Allocate(1 << 20, "all");
  ASSERT_TRUE(most.ok());
  const absl::Status status = device->Allocate(1, "one byte").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("one byte"));
  most->reset();
  EXPECT_TRUE(device->Allocate(1, "one byte").ok());
}

TEST(CpuDeviceTest, HostMemoryIsOutsideTheBudget) {
  const auto device = MakeDevice(4096);
  auto host = device->AllocateHost(1 << 20);
  ASSERT_TRUE(host.ok());
  std::memset((*host)->data(), 1, (*host)->bytes());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*host)->data()) % 256, 0u);
  EXPECT_EQ(device->allocated_bytes(), 0u);
}

TEST(CpuDeviceTest, RegisteredMemoryKeepsItsAddress) {
  const auto device = MakeDevice(4096);
  const std::vector<std::byte> memory(100);
  auto registration = device->RegisterHost(memory);
  ASSERT_TRUE(registration.ok());
  EXPECT_EQ((*registration)->device_address(), memory.data());
}

// A device of another kind, for the mismatch only.
class OtherDevice : public Device {
 public:
  const DeviceInfo& info() const override { return info_; }
  uint64_t allocated_bytes() const override { return 0; }
  absl::StatusOr<std::unique_ptr<Buffer>> Allocate(size_t, absl::string_view) override {
    return absl::UnavailableError("none");
  }
  absl::StatusOr<std::unique_ptr<Buffer>> AllocateHost(size_t) override {
    return absl::UnavailableError("none");
  }
  absl::StatusOr<std::unique_ptr<HostRegistration>> RegisterHost(
      std::span<const std::byte>) override {
    return absl::UnavailableError("none");
  }
  absl::StatusOr<std::unique_ptr<Stream>> CreateStream(absl::string_view) override {
    return absl::UnavailableError("none");
  }
  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override {
    return absl::UnavailableError("none");
  }

 private:
  const DeviceInfo info_{.name = "other", .description = ""};
};

TEST(CpuKernelsTest, RefusesAnotherKindOfDevice) {
  OtherDevice device;
  const absl::Status status = CpuKernels::Create(device, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("device other"));
}

}  // namespace
}  // namespace spearfish::kernels
