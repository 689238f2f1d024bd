// Every byte of a cache image: the content of a cache file and of a segment (they are the same).
// Integers are little-endian.
//
// clang-format off
//   0                      header, 4096 bytes (CacheHeader)
//   4096                   layer table, one LayerEntry of 32 bytes for each of the model's layers
//                          zeros up to the next multiple of 4096
//   records_offset         the records of the first MoE layer, expert after expert
//                          the records of the next MoE layer, ...
//   image_bytes            end; on hugetlbfs zeros follow up to the end of the last huge page
//
// CacheHeader                              LayerEntry
//   0     8     magic "SPEARFSH"             0   8   offset of the layer's first record; 0 = dense
//   8     4     format version               8   8   bytes of all its records; 0 = dense layer
//   12    4     size of this header          16  8   checksum of its records (stored before ready)
//   16    32    identity (SHA-256)           24  4   ready flag: 0 or kLayerReady (release)
//   48    4     bits of a weight             28  4   zero
//   52    4     ScaleMode
//   56    4     layers of the model
//   60    4     MoE layers among them
//   64    4     experts of a MoE layer
//   68    4     hidden
//   72    4     intermediate
//   76    4     slice channels
//   80    4     slices of a record
//   84    4     group of w13
//   88    4     group of w2
//   92    4     zero
//   96    8     bytes of a slice
//   104   8     bytes of a record
//   112   8     records_offset
//   120   8     image_bytes
//   128   256   model name, zero-padded
//   384   3696  zeros
//   4080  8     header checksum
//   4088  4     CacheState
//   4092  4     zero
// clang-format on
//
// One record is drawn in record_layout.h and marlin_tile.h.
// Header checksum: XXH3-64 over header bytes [0, 4080), then offset and bytes of every LayerEntry.
// Layer checksum: XXH3-64 over the array of the XXH3-64 of each of its records, so that threads
// hash records on their own.
// Written while populating: every layer's checksum, ready flag and records, and the state; all else
// is fixed before the image gets its name. A layer's flag is set after its checksum and records,
// the state last of all; both with release order, read with acquire order.
#ifndef COMMON_EXPERT_CACHE_FORMAT_H_
#define COMMON_EXPERT_CACHE_FORMAT_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace spearfish {

static_assert(std::endian::native == std::endian::little, "cache images are little-endian");

// The ASCII of "SPEARFSH" as it stands in the file.
inline constexpr uint64_t kCacheMagic = 0x4853465241455053u;
// Part of the identity: a new version packs anew.
inline constexpr uint32_t kCacheVersion = 1;
inline constexpr uint64_t kCachePageBytes = 4096;

// Values far apart, so that no flipped bit turns one into another.
enum class CacheState : uint32_t {
  kPopulating = 0x504f5055,
  kReady = 0x52454459,
  kFailed = 0x4641494c,
};
inline constexpr uint32_t kLayerReady = 0x4c524459;

struct CacheHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;
  std::array<uint8_t, 32> identity;
  uint32_t bits;
  uint32_t scale_mode;
  uint32_t num_layers;
  uint32_t num_moe_layers;
  uint32_t num_experts;
  uint32_t hidden;
  uint32_t intermediate;
  uint32_t slice_channels;
  uint32_t num_slices;
  uint32_t w13_group;
  uint32_t w2_group;
  uint32_t zero0;
  uint64_t slice_bytes;
  uint64_t record_bytes;
  uint64_t records_offset;
  uint64_t image_bytes;
  std::array<char, 256> model_name;
  std::array<uint8_t, 3696> zero1;
  uint64_t checksum;
  uint32_t state;  // CacheState
  uint32_t zero2;
};

struct LayerEntry {
  uint64_t offset;
  uint64_t bytes;
  uint64_t checksum;
  uint32_t ready;
  uint32_t zero;
};

static_assert(std::is_trivially_copyable_v<CacheHeader> && std::is_standard_layout_v<CacheHeader>);
static_assert(sizeof(CacheHeader) == kCachePageBytes);
static_assert(offsetof(CacheHeader, identity) == 16);
static_assert(offsetof(CacheHeader, bits) == 48);
static_assert(offsetof(CacheHeader, num_layers) == 56);
static_assert(offsetof(CacheHeader, hidden) == 68);
static_assert(offsetof(CacheHeader, w2_group) == 88);
static_assert(offsetof(CacheHeader, slice_bytes) == 96);
static_assert(offsetof(CacheHeader, image_bytes) == 120);
static_assert(offsetof(CacheHeader, model_name) == 128);
static_assert(offsetof(CacheHeader, checksum) == 4080);
static_assert(offsetof(CacheHeader, state) == 4088);
static_assert(std::is_trivially_copyable_v<LayerEntry> && std::is_standard_layout_v<LayerEntry>);
static_assert(sizeof(LayerEntry) == 32);
static_assert(offsetof(LayerEntry, checksum) == 16);
static_assert(offsetof(LayerEntry, ready) == 24);
static_assert(std::atomic_ref<uint32_t>::is_always_lock_free, "shared between processes");

// Fields that another process may store at any time. Works on a read-only mapping: a lock-free
// load doesn't write.
inline uint32_t LoadAcquire(const uint32_t& field) {
  return std::atomic_ref<uint32_t>(const_cast<uint32_t&>(field)).load(std::memory_order_acquire);
}
inline void StoreRelease(uint32_t& field, uint32_t value) {
  std::atomic_ref<uint32_t>(field).store(value, std::memory_order_release);
}

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_FORMAT_H_
