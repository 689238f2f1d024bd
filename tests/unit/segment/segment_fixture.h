// A folder of segments and the bundled checkpoint, for the tests of ExpertCacheSegment.
#ifndef TESTS_UNIT_SEGMENT_SEGMENT_FIXTURE_H_
#define TESTS_UNIT_SEGMENT_SEGMENT_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "common/expert_cache/cache_file.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/format.h"
#include "common/segment/expert_cache_segment.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish::tests {

class SegmentFixture : public testing::Test {
 protected:
  SegmentFixture() {
    checkpoint_ = Checkpoint::Open(BundledCheckpoint()).value();
    options_.directory = directory_.path();
    options_.num_threads = 2;
  }

  absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> Attach(
      const SegmentProgressFn& progress = nullptr) const {
    return ExpertCacheSegment::AttachOrPopulate(*checkpoint_, options_, progress);
  }
  CachePlan Plan() const { return CachePlan::FromCheckpoint(*checkpoint_, options_.quant).value(); }
  std::string Name() const { return SegmentName(Plan().identity()); }
  std::string Path() const { return directory_.File(Name()); }

  // A cache file of the checkpoint with the fixture's options.
  std::string WriteFileOfCache() const {
    std::string path = files_.File("cache.sfc");
    EXPECT_TRUE(WriteCacheFile(*checkpoint_, Plan(), path, 2, nullptr).ok());
    return path;
  }

  // Overwrites bytes of a file (by default the segment's), as no process of ours ever would.
  void Overwrite(uint64_t offset, const std::string& bytes, const std::string& path = "") const {
    const std::string target = path.empty() ? Path() : path;
    chmod(target.c_str(), 0644);
    std::fstream file(target, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.good());
  }
  void OverwriteState(CacheState state) const {
    const auto value = static_cast<uint32_t>(state);
    Overwrite(offsetof(CacheHeader, state),
              std::string(reinterpret_cast<const char*>(&value), sizeof(value)));
  }
  void ClearReady(uint32_t layer) const {
    Overwrite(sizeof(CacheHeader) + layer * sizeof(LayerEntry) + offsetof(LayerEntry, ready),
              std::string(4, '\0'));
  }

  std::unique_ptr<Checkpoint> checkpoint_;
  TempDir directory_;
  TempDir files_;  // beside the segments
  SegmentOptions options_;
};

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_SEGMENT_SEGMENT_FIXTURE_H_
