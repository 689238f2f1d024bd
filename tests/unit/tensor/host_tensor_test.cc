#include "common/tensor/host_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/safetensors_writer.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Floats exact in every served dtype.
const std::vector<float> kValues = {0.0f, 1.0f, -2.0f, 0.5f, 3.0f, -0.25f};

HostTensor View(DType dtype, std::vector<int64_t> shape, const std::string& bytes) {
  return {.dtype = dtype,
          .shape = std::move(shape),
          .bytes = std::as_bytes(std::span<const char>(bytes))};
}

std::vector<float> Widen(const HostTensor& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.num_elements()), -99.0f);
  EXPECT_TRUE(WidenToFloat(tensor, out).ok());
  return out;
}

TEST(HostTensor, WidensEveryServedDtype) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const std::string bytes = tests::EncodeFloats(dtype, kValues);
    EXPECT_EQ(Widen(View(dtype, {2, 3}, bytes)), kValues) << DTypeName(dtype);
  }
}

TEST(HostTensor, WidensFromAnUnalignedAddress) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    std::string bytes = tests::EncodeFloats(dtype, kValues);
    bytes.insert(bytes.begin(), 'x');
    HostTensor tensor = View(dtype, {6}, bytes);
    tensor.bytes = tensor.bytes.subspan(1);
    EXPECT_EQ(Widen(tensor), kValues) << DTypeName(dtype);
  }
}

TEST(HostTensor, RefusesToWidenOtherDtypesByName) {
  const std::string bytes(4, '\0');
  std::vector<float> out(4);
  const absl::Status status = WidenToFloat(View(DType::kI8, {4}, bytes), out);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("I8"));
}

TEST(HostTensor, SlicesRowsWithoutCopying) {
  const std::string bytes = tests::EncodeFloats(DType::kBF16, kValues);
  const HostTensor tensor = View(DType::kBF16, {3, 2}, bytes);
  const HostTensor rows = tensor.Slice(1, 3);
  EXPECT_THAT(rows.shape, ElementsAre(2, 2));
  EXPECT_EQ(rows.bytes.data(), tensor.bytes.data() + 4);
  EXPECT_THAT(Widen(rows), ElementsAre(-2.0f, 0.5f, 3.0f, -0.25f));
  EXPECT_TRUE(tensor.Slice(3, 3).bytes.empty());
}

TEST(HostTensor, IndexDropsTheFirstDimension) {
  const std::string bytes = tests::EncodeFloats(DType::kF32, kValues);
  const HostTensor tensor = View(DType::kF32, {3, 1, 2}, bytes);
  EXPECT_THAT(tensor[2].shape, ElementsAre(1, 2));
  EXPECT_THAT(Widen(tensor[2]), ElementsAre(3.0f, -0.25f));
}

TEST(HostTensor, EmptyAndScalarTensorsCount) {
  const std::string scalar = tests::EncodeFloats(DType::kF32, std::vector<float>{5.0f});
  EXPECT_EQ(View(DType::kF32, {}, scalar).num_elements(), 1);
  EXPECT_THAT(Widen(View(DType::kF32, {}, scalar)), ElementsAre(5.0f));
  const HostTensor empty = {.dtype = DType::kF32, .shape = {0, 4}, .bytes = {}};
  EXPECT_EQ(empty.num_elements(), 0);
  EXPECT_TRUE(Widen(empty).empty());
  EXPECT_TRUE(empty.Slice(0, 0).bytes.empty());
}

TEST(HostTensorDeathTest, SliceOutsideIsABrokenInvariant) {
  const std::string bytes = tests::EncodeFloats(DType::kF32, kValues);
  const HostTensor tensor = View(DType::kF32, {3, 2}, bytes);
  EXPECT_DEATH(tensor.Slice(2, 4), "check failed");
  EXPECT_DEATH(tensor.Slice(-1, 1), "check failed");
}

}  // namespace
}  // namespace spearfish
