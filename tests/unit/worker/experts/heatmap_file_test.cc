#include "worker/experts/heatmap_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/experts/small_cache.h"

namespace spearfish::worker {
namespace {

using testing::HasSubstr;

constexpr const char* kGood = R"({"format": "spearfish-heatmap", "version": 1,
"identity": "0123456789abcdef", "model": "m", "tokens": 7, "moe_layers": 2,
"experts": 3, "counts": [[1, 2.5, 0], [3, 4, 5e3]]})";

Heatmap Good() { return ParseHeatmap(kGood, "good.json").value(); }

TEST(HeatmapFile, ReadsWhatWasWritten) {
  const tests::TempDir dir;
  const std::string path = dir.File("heat.json");
  ASSERT_TRUE(WriteHeatmap(path, Good()).ok());
  const auto read = ReadHeatmap(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->identity, "0123456789abcdef");
  EXPECT_EQ(read->model_name, "m");
  EXPECT_EQ(read->num_tokens, 7U);
  EXPECT_EQ(read->num_moe_layers, 2U);
  EXPECT_EQ(read->num_experts, 3U);
  EXPECT_EQ(read->counts, (std::vector<double>{1, 2.5, 0, 3, 4, 5000}));
}

TEST(HeatmapFile, ReplacesAnOlderFileAndLeavesNoOther) {
  const tests::TempDir dir;
  const std::string path = dir.File("heat.json");
  ASSERT_TRUE(WriteHeatmap(path, Good()).ok());
  Heatmap newer = Good();
  newer.counts[0] = 9;
  ASSERT_TRUE(WriteHeatmap(path, newer).ok());
  EXPECT_EQ(ReadHeatmap(path).value().counts[0], 9);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    files += 1;
  }
  EXPECT_EQ(files, 1U);
}

TEST(HeatmapFile, WritesNothingThatItWouldNotRead) {
  const tests::TempDir dir;
  Heatmap bad = Good();
  bad.counts[2] = -1;
  EXPECT_FALSE(WriteHeatmap(dir.File("heat.json"), bad).ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(HeatmapFile, RefusesWhatIsNoHeatmapWithTheRemedy) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"spearfish-heatmap", "other"},
      {"\"version\": 1", "\"version\": 2"},
      {"0123456789abcdef", "0123"},
      {"0123456789abcdef", "0123456789ABCDEF"},
      {"\"tokens\": 7", "\"tokens\": -7"},
      {"\"moe_layers\": 2", "\"moe_layers\": 3"},
      {"\"experts\": 3", "\"experts\": 2"},
      {"2.5", "-2.5"},
      {"2.5", "null"},
      {"2.5", "\"2.5\""},
      {"5e3", "5e300"},
      {"[3, 4, 5e3]", "[3, 4]"},
      {"[3, 4, 5e3]", "7"},
      {"\"counts\"", "\"count\""},
  };
  for (const auto& [from, to] : changes) {
    const std::string text = absl::StrReplaceAll(kGood, {{from, to}});
    ASSERT_NE(text, kGood) << from;
    const auto heatmap = ParseHeatmap(text, "bad.json");
    ASSERT_FALSE(heatmap.ok()) << to;
    EXPECT_EQ(heatmap.status().code(), absl::StatusCode::kInvalidArgument) << to;
    EXPECT_THAT(std::string(heatmap.status().message()), HasSubstr("bad.json")) << to;
  }
  EXPECT_THAT(std::string(ParseHeatmap("{}", "bad.json").status().message()),
              HasSubstr("record one with spearfish-pack heatmap"));
  EXPECT_FALSE(ParseHeatmap("[1e999]", "bad.json").ok());
  EXPECT_FALSE(ParseHeatmap("", "bad.json").ok());
}

TEST(HeatmapFile, RefusesWhatIsTooLarge) {
  const std::string text(kMaxHeatmapBytes + 1, ' ');
  EXPECT_THAT(std::string(ParseHeatmap(text, "large.json").status().message()),
              HasSubstr("malformed heatmap: large.json: 16777217 bytes"));
}

TEST(HeatmapFile, NamesAFileThatIsNotThere) {
  const auto heatmap = ReadHeatmap("/nowhere/heat.json");
  EXPECT_EQ(heatmap.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(heatmap.status().message()), HasSubstr("/nowhere/heat.json"));
}

TEST(HeatmapFile, FitsTheCacheThatItWasMadeForOnly) {
  const tests::SmallCache cache;
  Heatmap heatmap = EmptyHeatmap(cache.view());
  EXPECT_EQ(heatmap.counts.size(), cache.view().num_records());
  EXPECT_TRUE(CheckHeatmap(heatmap, cache.view()).ok());
  heatmap.identity = "0123456789abcdef";  // another quantisation of the same model
  EXPECT_TRUE(CheckHeatmap(heatmap, cache.view()).ok());
  heatmap.model_name = "another";
  EXPECT_THAT(std::string(CheckHeatmap(heatmap, cache.view()).message()),
              HasSubstr("heatmap of another checkpoint"));
  heatmap = EmptyHeatmap(cache.view());
  heatmap.num_experts += 1;
  EXPECT_THAT(std::string(CheckHeatmap(heatmap, cache.view()).message()),
              HasSubstr("heatmap of another shape"));
}

}  // namespace
}  // namespace spearfish::worker
