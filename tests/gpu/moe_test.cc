#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/gpu/gpu_fixture.h"
#include "tests/gpu/gpu_tolerances.h"
#include "tests/gpu/host_mapping.h"
#include "tests/reference/moe_reference.h"
#include "tests/reference/tolerances.h"

namespace spearfish::kernels {
namespace {

struct Shape {
  uint32_t hidden;
  uint32_t intermediate;
  uint32_t bits;
  uint32_t rows;
  uint32_t k;
  uint32_t num_experts;
};

// Random records in a mapped cache, inputs and routing. Experts with odd numbers are copied to
// slots in device memory; the others are read where they are.
class GpuMoeTest : public GpuKernelTest {
 protected:
  struct Case {
    Shape shape;
    ExpertLayout layout;
    std::unique_ptr<HostMapping> cache;
    std::unique_ptr<HostRegistration> registration;
    std::vector<float> x;
    std::vector<int32_t> ids;
    std::vector<float> weights;
    std::vector<uint64_t> host_addresses;
    MoeArgs host;
    MoeArgs device;
  };

  std::unique_ptr<Case> MakeCase(const Shape& shape) {
    auto c = std::make_unique<Case>();
    c->shape = shape;
    c->layout = reference::MakeExpertLayout(shape.hidden, shape.intermediate, shape.bits);
    const uint64_t record_bytes = c->layout.record_bytes;
    c->cache = std::make_unique<HostMapping>(shape.num_experts * record_bytes);
    for (uint32_t e = 0; e < shape.num_experts; ++e) {
      reference::FillRandomRecord(c->layout, e + 1, c->cache->writable() + e * record_bytes);
    }
    auto registration = device_->RegisterHost(c->cache->readable());
    EXPECT_TRUE(registration.ok()) << registration.status();
    c->registration = *std::move(registration);
    const auto* mapped = static_cast<const std::byte*>(c->registration->device_address());
    std::vector<uint64_t> addresses;
    for (uint32_t e = 0; e < shape.num_experts; ++e) {
      const std::byte* record = c->cache->readable().data() + e * record_bytes;
      c->host_addresses.push_back(reinterpret_cast<uint64_t>(record));
      const void* there =
          e % 2 == 1 ? UploadBytes({record, record_bytes}) : mapped + e * record_bytes;
      addresses.push_back(reinterpret_cast<uint64_t>(there));
    }
    c->x = RandomFloats(size_t{shape.rows} * shape.hidden);
    // Ids are drawn anew for each choice, so a row may name one expert twice.
    for (size_t pair = 0; pair < size_t{shape.rows} * shape.k; ++pair) {
      c->ids.push_back(RandomInt(static_cast<int32_t>(shape.num_experts)));
      c->weights.push_back(std::abs(RandomFloats(1)[0]));
    }
    Bind(*c, addresses);
    return c;
  }

  // Uploads what the host holds; call again after changing it.
  void Bind(Case& c, const std::vector<uint64_t>& addresses) {
    c.device = {.x = UploadActivations(c.x),
                .expert_ids = Upload(c.ids),
                .expert_weights = Upload(c.weights),
                .address_table = addresses.empty() ? c.device.address_table : Upload(addresses),
                .layout = c.layout,
                .num_experts = c.shape.num_experts,
                .k = c.shape.k,
                .out = nullptr,
                .workspace = nullptr,
                .num_rows = c.shape.rows};
    c.host = c.device;
    c.host.x = c.x.data();
    c.host.expert_ids = c.ids.data();
    c.host.expert_weights = c.weights.data();
    c.host.address_table = c.host_addresses.data();
  }

  // Rows first .. first + count, run and replayed.
  std::vector<float> Run(const Case& c, uint32_t first, uint32_t count) {
    GuardedBytes out = ActivationOutput(size_t{count} * c.shape.hidden);
    GuardedBytes workspace = Output(kernels_->MoeWorkspaceBytes(c.layout, count, c.shape.k));
    MoeArgs args = c.device;
    args.x = static_cast<const std::byte*>(c.device.x) +
             size_t{first} * c.shape.hidden * activation_bytes();
    args.expert_ids += size_t{first} * c.shape.k;
    args.expert_weights += size_t{first} * c.shape.k;
    args.num_rows = count;
    args.out = out.data();
    args.workspace = workspace.data();
    RunAndReplay([&](Stream& stream) { kernels_->Moe(args, stream); }, {&out});
    EXPECT_TRUE(workspace.GuardsIntact());
    return Activations(out);
  }

  void ExpectMatches(const Case& c, const std::vector<float>& actual) const {
    const std::vector<double> expected = reference::Moe(c.host);
    ASSERT_EQ(actual.size(), expected.size());
    const size_t hidden = c.shape.hidden;
    for (size_t row = 0; row < expected.size(); row += hidden) {
      double largest = 0;
      for (size_t n = 0; n < hidden; ++n) largest = std::max(largest, std::abs(expected[row + n]));
      SCOPED_TRACE(row / hidden);
      ExpectClose(std::span(actual).subspan(row, hidden),
                  {expected.begin() + static_cast<ptrdiff_t>(row),
                   expected.begin() + static_cast<ptrdiff_t>(row + hidden)},
                  {reference::kMoeTolerance * largest, is_bf16() ? kBf16Output : 0});
    }
  }
};
SF_GPU_SUITE(GpuMoeTest);

TEST_P(GpuMoeTest, MatchesOracleOverShapes) {
  const Shape shapes[] = {
      {64, 64, 4, 1, 1, 1},     {64, 64, 8, 3, 2, 2},     {192, 128, 4, 2, 3, 4},
      {192, 128, 8, 1, 1, 3},   {256, 320, 4, 5, 8, 8},   {256, 320, 8, 6, 4, 5},
      {64, 1024, 4, 7, 2, 3},   {256, 128, 4, 16, 2, 5},  {256, 128, 4, 17, 2, 5},
      {192, 320, 4, 70, 8, 11}, {64, 128, 8, 70, 5, 8},   {640, 192, 4, 4, 2, 3},
      {1152, 256, 8, 9, 3, 4},  {2048, 128, 4, 33, 4, 6},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(::testing::Message() << shape.hidden << " x " << shape.intermediate << " INT"
                                      << shape.bits << ", " << shape.rows << " rows");
    const auto c = MakeCase(shape);
    ExpectMatches(*c, Run(*c, 0, shape.rows));
  }
}

// Calls of many choices an expert: row groups of 1, 2 and 4 warps (8 for w2 of a cold expert), odd
// counts, several passes over w2 (more than 512 rows), more than one launch (more than 2,048).
TEST_P(GpuMoeTest, MatchesOracleOverPrefillShapes) {
  const Shape shapes[] = {
      {192, 320, 4, 65, 2, 3},  {192, 320, 8, 65, 2, 3},   {576, 128, 4, 150, 2, 7},
      {128, 256, 8, 257, 2, 3}, {320, 64, 4, 600, 2, 5},   {64, 128, 8, 599, 3, 40},
      {64, 64, 4, 2100, 1, 3},  {3072, 128, 4, 129, 1, 2},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(::testing::Message() << shape.hidden << " x " << shape.intermediate << " INT"
                                      << shape.bits << ", " << shape.rows << " rows");
    const auto c = MakeCase(shape);
    ExpectMatches(*c, Run(*c, 0, shape.rows));
  }
}

// All rows to one expert, a slot and a cold record; then nearly all, and one row elsewhere.
TEST_P(GpuMoeTest, SkewedRoutingMatchesOracleAndSingleRows) {
  for (const uint32_t bits : {4u, 8u}) {
    for (const int32_t expert : {0, 1}) {
      for (const uint32_t rows : {66u, 127u, 300u}) {
        for (const bool one_elsewhere : {false, true}) {
          const auto c = MakeCase({128, 192, bits, rows, 1, 3});
          std::fill(c->ids.begin(), c->ids.end(), expert);
          if (one_elsewhere) c->ids[rows / 2] = 2;
          Bind(*c, {});
          const std::vector<float> whole = Run(*c, 0, rows);
          ExpectMatches(*c, whole);
          for (const uint32_t row : {0u, 31u, 33u, rows / 2, rows - 1}) {
            const std::vector<float> alone = Run(*c, row, 1);
            EXPECT_EQ(std::memcmp(alone.data(), &whole[size_t{row} * 128], 128 * sizeof(float)), 0)
                << "INT" << bits << ", " << rows << " rows, row " << row;
          }
        }
      }
    }
  }
}

TEST_P(GpuMoeTest, PrefillRowsHaveTheBitsOfSingleRows) {
  for (const uint32_t bits : {4u, 8u}) {
    const auto c = MakeCase({576, 320, bits, 521, 3, 6});
    const std::vector<float> whole = Run(*c, 0, 521);
    for (uint32_t row = 0; row < 521; row += 13) {
      const std::vector<float> alone = Run(*c, row, 1);
      EXPECT_EQ(std::memcmp(alone.data(), &whole[size_t{row} * 576], 576 * sizeof(float)), 0)
          << "INT" << bits << ", row " << row;
    }
    for (const uint32_t count : {8u, 64u, 65u, 130u, 256u, 513u}) {
      const uint32_t first = 521 - count;
      const std::vector<float> part = Run(*c, first, count);
      EXPECT_EQ(std::memcmp(part.data(), &whole[size_t{first} * 576], part.size() * sizeof(float)),
                0)
          << "INT" << bits << ", " << count << " rows";
    }
  }
}

TEST_P(GpuMoeTest, NotANumberStaysInItsRowOfAPrompt) {
  const auto c = MakeCase({192, 128, 4, 90, 2, 2});
  const std::vector<float> clean = Run(*c, 0, 90);
  c->x[192 * 41 + 100] = NAN;
  Bind(*c, {});
  const std::vector<float> out = Run(*c, 0, 90);
  EXPECT_EQ(std::memcmp(out.data(), clean.data(), size_t{192} * 41 * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(&out[192 * 42], &clean[192 * 42], size_t{192} * 48 * sizeof(float)), 0);
  for (size_t i = 0; i < 192; ++i) EXPECT_TRUE(std::isnan(out[192 * 41 + i])) << i;
}

TEST_P(GpuMoeTest, PrefillMatchesOracleAtFullSize) {
  for (const uint32_t bits : {4u, 8u}) {
    const auto c = MakeCase({3072, 1024, bits, 70, 1, 2});
    ExpectMatches(*c, Run(*c, 0, 70));
  }
}

TEST_P(GpuMoeTest, MatchesOracleAtFullSize) {
  for (const uint32_t bits : {4u, 8u}) {
    for (const uint32_t rows : {1u, 2u}) {
      const auto c = MakeCase({3072, 1024, bits, rows, 2, 3});
      ExpectMatches(*c, Run(*c, 0, rows));
    }
  }
}

TEST_P(GpuMoeTest, RowBitsDoNotDependOnTheBatch) {
  for (const uint32_t bits : {4u, 8u}) {
    const auto c = MakeCase({192, 320, bits, 70, 4, 3});
    const std::vector<float> whole = Run(*c, 0, 70);
    for (const uint32_t count : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 33u, 69u}) {
      const uint32_t first = 70 - count;
      const std::vector<float> part = Run(*c, first, count);
      EXPECT_EQ(std::memcmp(part.data(), &whole[size_t{first} * 192], part.size() * sizeof(float)),
                0)
          << "INT" << bits << ", " << count << " rows";
    }
  }
}

// Groups found by a warp and by a block, of one to four choices; strips, runs and slices that leave
// warps without work; experts chosen twice by a row.
TEST_P(GpuMoeTest, KernelsForFewRowsHaveTheBitsOfTheGeneralOnes) {
  constexpr uint32_t kMoreThanFew = 16;
  const Shape shapes[] = {
      {64, 64, 4, 1, 1, 1},     {64, 64, 8, 3, 2, 2},     {192, 128, 4, 2, 3, 4},
      {192, 128, 8, 1, 3, 3},   {256, 320, 4, 4, 8, 32},  {256, 320, 8, 4, 8, 32},
      {640, 192, 4, 3, 4, 5},   {256, 128, 4, 5, 8, 64},  {192, 320, 8, 16, 8, 64},
      {192, 320, 4, 16, 8, 64}, {3072, 1024, 4, 1, 8, 9}, {3072, 1024, 4, 4, 3, 4},
      {3072, 1024, 8, 1, 2, 3}, {3072, 1024, 8, 2, 2, 3},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(::testing::Message() << shape.hidden << " x " << shape.intermediate << " INT"
                                      << shape.bits << ", " << shape.rows << " rows");
    Shape with_more = shape;
    with_more.rows += kMoreThanFew;
    const auto c = MakeCase(with_more);
    const std::vector<float> general = Run(*c, 0, with_more.rows);
    const std::vector<float> few = Run(*c, 0, shape.rows);
    EXPECT_EQ(std::memcmp(few.data(), general.data(), few.size() * sizeof(float)), 0);
  }
}

TEST_P(GpuMoeTest, ChunksOfALongPromptHaveTheBitsOfSingleRows) {
  const auto c = MakeCase({64, 64, 4, 1100, 2, 5});
  const std::vector<float> whole = Run(*c, 0, 1100);
  for (const uint32_t row : {0u, 511u, 512u, 1024u, 1099u}) {
    const std::vector<float> alone = Run(*c, row, 1);
    EXPECT_EQ(std::memcmp(alone.data(), &whole[size_t{row} * 64], 64 * sizeof(float)), 0) << row;
  }
}

TEST_P(GpuMoeTest, NotANumberStaysInItsRow) {
  const auto c = MakeCase({192, 128, 4, 3, 2, 2});
  const std::vector<float> clean = Run(*c, 0, 3);
  c->x[192 + 100] = NAN;
  Bind(*c, {});
  const std::vector<float> out = Run(*c, 0, 3);
  EXPECT_EQ(std::memcmp(&out[0], &clean[0], 192 * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(&out[384], &clean[384], 192 * sizeof(float)), 0);
  for (uint32_t i = 192; i < 384; ++i) EXPECT_TRUE(std::isnan(out[i])) << i;
}

TEST_P(GpuMoeTest, LargeAndTinyInputsKeepTheirScale) {
  const auto c = MakeCase({256, 128, 4, 4, 1, 2});
  for (uint32_t i = 0; i < 256; ++i) {
    c->x[i] *= 1e4f;
    c->x[256 + i] *= 1e-6f;
    c->x[512 + i] *= i < 128 ? 0.0f : 1.0f;
    c->x[768 + i] = 0.0f;
  }
  Bind(*c, {});
  const std::vector<float> out = Run(*c, 0, 4);
  ExpectMatches(*c, out);
  for (uint32_t i = 0; i < 256; ++i) EXPECT_EQ(out[768 + i], 0.0f);
}

TEST_P(GpuMoeTest, WorkspaceNeverFallsAsRowsGrow) {
  const ExpertLayout layout = reference::MakeExpertLayout(256, 1024, 4);
  uint64_t before = 0;
  for (uint32_t rows = 0; rows < 1100; ++rows) {
    const uint64_t bytes = kernels_->MoeWorkspaceBytes(layout, rows, 8);
    EXPECT_GE(bytes, before) << rows;
    before = bytes;
  }
}

}  // namespace
}  // namespace spearfish::kernels
