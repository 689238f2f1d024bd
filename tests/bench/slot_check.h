// Whether slots hold what the segment holds.
#ifndef TESTS_BENCH_SLOT_CHECK_H_
#define TESTS_BENCH_SLOT_CHECK_H_

#include <cstdint>

#include "common/expert_cache/cache_view.h"
#include "kernels/api/device.h"
#include "worker/experts/expert_pool.h"
#include "worker/experts/expert_store.h"
#include "worker/experts/frame_arena.h"

namespace spearfish::bench {

struct SlotCheck {
  uint64_t resident = 0;   // records that the table leads to a slot
  uint64_t compared = 0;   // of them, read back
  uint64_t misplaced = 0;  // the table's address is no slot's, or another record's too
  uint64_t different = 0;  // bytes are not the record's

  bool ok() const { return compared > 0 && misplaced == 0 && different == 0; }
};

// What the address table leads to, for every resident record, and the bytes of about `num_compared`
// of them, evenly spread (0: all), read back through `staging` (page-locked, one record) and
// compared with the segment's. Every layer of the model has experts; nothing runs on the stream.
SlotCheck CheckSlots(const CacheView& cache, worker::ExpertStore& store,
                     const worker::ExpertPool& pool, const worker::FrameArena& arena,
                     uint64_t num_compared, kernels::Buffer& staging, kernels::Stream& stream);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_SLOT_CHECK_H_
