// The mutable side of a cache image, for whoever fills it; and the checks that hold in any state.
#ifndef COMMON_EXPERT_CACHE_CACHE_IMAGE_H_
#define COMMON_EXPERT_CACHE_CACHE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/format.h"
#include "common/expert_cache/record_layout.h"

namespace spearfish {

// Header and layer table of an image as they stand. Does not own the bytes; trivially copied.
class CacheHeaderView {
 public:
  // Checks all but readiness and records: magic, version, checksum, geometry, that the image has
  // the size that the header says and every layer lies where it must. Errors as CacheView::Open.
  static absl::StatusOr<CacheHeaderView> Open(std::span<const std::byte> image);
  // The same from a copy of the image's head, up to the first record at least; `image_bytes` is the
  // length of the whole.
  static absl::StatusOr<CacheHeaderView> OpenHead(std::span<const std::byte> head,
                                                  uint64_t image_bytes);

  const CacheHeader& header() const { return *header_; }
  std::span<const LayerEntry> layers() const { return {entries_, header_->num_layers}; }
  const RecordLayout& layout() const { return layout_; }

  CacheState state() const { return static_cast<CacheState>(LoadAcquire(header_->state)); }
  bool layer_ready(LayerId layer) const {
    return LoadAcquire(entries_[Index(layer)].ready) == kLayerReady;
  }
  uint32_t num_layers_ready() const;

 private:
  CacheHeaderView(const CacheHeader* header, const LayerEntry* entries, const RecordLayout& layout)
      : header_(header), entries_(entries), layout_(layout) {}

  const CacheHeader* header_;
  const LayerEntry* entries_;
  RecordLayout layout_;
};

// The checksum of one layer: `records` holds its records, one after the other. On `num_threads`
// threads, 0 = all cores.
uint64_t LayerChecksum(std::span<const std::byte> records, uint64_t record_bytes,
                       uint32_t num_threads = 1);
// The same from the records' own checksums.
uint64_t RecordChecksum(std::span<const std::byte> record);
uint64_t CombineRecordChecksums(std::span<const uint64_t> checksums);

// Header and layer table of a new image, state populating: plan.records_offset() bytes.
std::vector<std::byte> NewHeaderBytes(const CachePlan& plan);

// Stores what changes while an image is filled. `image` begins with header and layer table and is
// aligned for them. One thread at a time.
class CacheImageWriter {
 public:
  explicit CacheImageWriter(std::span<std::byte> image) : image_(image) {}

  void StoreLayerReady(LayerId layer, uint64_t checksum);  // after its records are written
  void ClearLayerReady(LayerId layer);
  void StoreState(CacheState state);

 private:
  CacheHeader& header() { return *reinterpret_cast<CacheHeader*>(image_.data()); }
  LayerEntry& entry(LayerId layer) {
    return reinterpret_cast<LayerEntry*>(image_.data() + sizeof(CacheHeader))[Index(layer)];
  }

  std::span<std::byte> image_;
};

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_IMAGE_H_
