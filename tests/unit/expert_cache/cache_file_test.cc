#include "common/expert_cache/cache_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "common/expert_cache/expert_record.h"
#include "tests/support/test_data.h"
#include "tests/unit/expert_cache/small_checkpoint.h"

namespace spearfish {
namespace {

using tests::SmallCheckpoint;
using tests::SmallOptions;
using tests::TempDir;

size_t NumFiles(const std::string& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(CacheFile, WritesReadsAndReportsProgress) {
  const SmallCheckpoint small(SmallOptions());
  const TempDir out;
  const std::string path = out.File("cache.sfc");
  std::vector<uint32_t> layers;
  const absl::Status status =
      WriteCacheFile(*small.checkpoint, small.Plan(), path, 2, [&](const BuildProgress& progress) {
        EXPECT_EQ(progress.num_layers, 2u);
        layers.push_back(progress.layers_done);
      });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(layers, testing::ElementsAre(1, 2));
  EXPECT_EQ(NumFiles(out.path()), 1u);
  const auto file = CacheFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->cache().VerifyAll().ok());
  EXPECT_EQ((*file)->cache().identity(), small.Plan().identity());
}

TEST(CacheFile, ReplacesAnOlderFileAndLeavesItAloneOnError) {
  const SmallCheckpoint small(SmallOptions());
  const TempDir out;
  const std::string path = out.File("cache.sfc");
  tests::WriteFile(path, "older");
  tests::SyntheticOptions bad_options = SmallOptions();
  tests::SyntheticCheckpoint content = tests::MakeSyntheticCheckpoint(bad_options);
  for (tests::NamedTensor& tensor : content.tensors) {
    if (tensor.name == "model.layers.2.mlp.experts.0.gate_proj.weight") {
      const uint16_t nan = 0x7fc0;
      std::memcpy(tensor.bytes.data(), &nan, sizeof(nan));
    }
  }
  const TempDir bad;
  tests::WriteSyntheticCheckpoint(content, bad_options, bad.path());
  const auto checkpoint = Checkpoint::Open(bad.path()).value();
  const CachePlan bad_plan = CachePlan::FromCheckpoint(*checkpoint, {}).value();
  EXPECT_TRUE(absl::IsInvalidArgument(WriteCacheFile(*checkpoint, bad_plan, path, 1, nullptr)));
  EXPECT_EQ(tests::ReadFile(path), "older");
  EXPECT_EQ(NumFiles(out.path()), 1u);
  EXPECT_TRUE(WriteCacheFile(*small.checkpoint, small.Plan(), path, 1, nullptr).ok());
  EXPECT_TRUE(CacheFile::Open(path).ok());
}

TEST(CacheFile, NamesThePathOfABadFile) {
  const TempDir out;
  const std::string path = out.File("cache.sfc");
  EXPECT_TRUE(absl::IsNotFound(CacheFile::Open(path).status()));
  tests::WriteFile(path, "");
  EXPECT_TRUE(absl::IsInvalidArgument(CacheFile::Open(path).status()));
  tests::WriteFile(path, std::string(5000, 'x'));
  const absl::Status status = CacheFile::Open(path).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(path));
}

TEST(CacheFile, CannotWriteIntoAMissingFolder) {
  const SmallCheckpoint small(SmallOptions());
  const TempDir out;
  EXPECT_TRUE(absl::IsNotFound(
      WriteCacheFile(*small.checkpoint, small.Plan(), out.File("no/cache.sfc"), 1, nullptr)));
}

// Squared error of all experts of a checkpoint against its packed form.
double SquaredError(const Checkpoint& checkpoint, const CacheView& cache) {
  double sum = 0;
  const auto add = [&sum](const HostTensor& tensor, const std::vector<float>& values) {
    std::vector<float> weights(values.size());
    ASSERT_TRUE(WidenToFloat(tensor, weights).ok());
    for (size_t i = 0; i < weights.size(); ++i) {
      const double error = double{weights[i]} - double{values[i]};
      sum += error * error;
    }
  };
  for (uint32_t layer = 0; layer < cache.num_layers(); ++layer) {
    if (!cache.has_layer(LayerId{layer})) continue;
    for (uint32_t expert = 0; expert < cache.num_experts(); ++expert) {
      const auto weights = checkpoint.Expert(LayerId{layer}, ExpertId{expert}).value();
      const DequantizedExpert values =
          UnpackExpert(cache.Record(LayerId{layer}, ExpertId{expert}), cache.layout());
      add(weights.gate, values.gate);
      add(weights.up, values.up);
      add(weights.down, values.down);
    }
  }
  return sum;
}

void ExpectMseNoWorseThanAbsmax(const std::string& model, uint32_t bits) {
  const auto checkpoint = Checkpoint::Open(model);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const TempDir out;
  double errors[2] = {};
  const ScaleMode modes[2] = {ScaleMode::kAbsmax, ScaleMode::kMse};
  for (int i = 0; i < 2; ++i) {
    const QuantOptions quant{.bits = bits, .scale = modes[i]};
    const CachePlan plan = CachePlan::FromCheckpoint(**checkpoint, quant).value();
    ASSERT_TRUE(WriteCacheFile(**checkpoint, plan, out.File("cache.sfc"), 0, nullptr).ok());
    const auto file = CacheFile::Open(out.File("cache.sfc"));
    ASSERT_TRUE(file.ok()) << file.status();
    errors[i] = SquaredError(**checkpoint, (*file)->cache());
  }
  testing::Test::RecordProperty("absmax", std::to_string(errors[0]));
  testing::Test::RecordProperty("mse", std::to_string(errors[1]));
  EXPECT_GT(errors[1], 0);
  EXPECT_LE(errors[1], errors[0]);
}

TEST(CacheFile, MseErrsNoMoreThanAbsmaxOnTheBundledModel) {
  ExpectMseNoWorseThanAbsmax(tests::BundledCheckpoint(), 4);
  ExpectMseNoWorseThanAbsmax(tests::BundledCheckpoint(), 8);
}

TEST(CacheFile, MseErrsNoMoreThanAbsmaxOnThe15MModel) {
  const auto model = tests::SharedPath("models/qwen3-moe-15m");
  if (!model) GTEST_SKIP() << "models/qwen3-moe-15m is not beside the repository";
  ExpectMseNoWorseThanAbsmax(*model, 4);
}

}  // namespace
}  // namespace spearfish
