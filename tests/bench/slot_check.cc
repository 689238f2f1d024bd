#include "tests/bench/slot_check.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "common/base/check.h"

namespace spearfish::bench {
namespace {

bool IsSlot(const worker::FrameArena& arena, uint64_t address) {
  const auto base = reinterpret_cast<uint64_t>(arena.base());
  if (address < base || (address - base) % arena.frame_bytes() != 0) return false;
  const uint64_t frame = (address - base) / arena.frame_bytes();
  if (frame >= arena.num_frames()) return false;
  const worker::FrameUse use = arena.use(worker::FrameId{static_cast<uint32_t>(frame)});
  return use == worker::FrameUse::kHardSlot || use == worker::FrameUse::kSoftSlot;
}

}  // namespace

SlotCheck CheckSlots(const CacheView& cache, worker::ExpertStore& store,
                     const worker::ExpertPool& pool, const worker::FrameArena& arena,
                     uint64_t num_compared, kernels::Buffer& staging, kernels::Stream& stream) {
  SF_CHECK(staging.bytes() >= arena.frame_bytes() && cache.num_layers() == cache.num_moe_layers());
  std::vector<worker::RecordIndex> resident;
  for (worker::RecordIndex r = 0; r < cache.num_records(); ++r) {
    if (pool.resident(r)) resident.push_back(r);
  }
  SlotCheck check{.resident = resident.size()};
  const uint64_t every =
      num_compared == 0 ? 1 : std::max<uint64_t>(resident.size() / num_compared, 1);
  std::vector<uint64_t> addresses;
  for (size_t i = 0; i < resident.size(); ++i) {
    const LayerId layer{static_cast<uint32_t>(resident[i] / cache.num_experts())};
    const ExpertId expert{static_cast<uint32_t>(resident[i] % cache.num_experts())};
    const uint64_t address = store.table().address(store.MoeIndex(layer), expert);
    addresses.push_back(address);
    if (!IsSlot(arena, address)) {
      ++check.misplaced;
    } else if (i % every == 0) {
      const std::span<const std::byte> record = cache.Record(layer, expert);
      stream.Copy(staging.data(), reinterpret_cast<const void*>(address), record.size());
      stream.Synchronize();
      ++check.compared;
      check.different += std::memcmp(staging.data(), record.data(), record.size()) != 0 ? 1 : 0;
    }
  }
  std::sort(addresses.begin(), addresses.end());
  const auto distinct = std::unique(addresses.begin(), addresses.end());
  check.misplaced += static_cast<uint64_t>(addresses.end() - distinct);
  return check;
}

}  // namespace spearfish::bench
