// Which record is in which slot.
#ifndef WORKER_EXPERTS_SLOT_TABLE_H_
#define WORKER_EXPERTS_SLOT_TABLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "worker/experts/frame_arena.h"
#include "worker/experts/residency_policy.h"

namespace spearfish::worker {

// Pure bookkeeping, used by one thread. A frame is empty or taken by one record, which is loading
// or resident; a record takes at most one frame. Nothing allocates after construction.
class SlotTable {
 public:
  SlotTable(uint32_t num_records, uint32_t num_experts, uint32_t num_frames);

  std::span<const Residency> residency() const { return residency_; }  // [num_records]
  Residency residency(RecordIndex record) const { return residency_[record]; }
  // Nothing for an empty frame.
  std::optional<RecordIndex> record_in(FrameId frame) const;
  // The record must not be cold.
  FrameId frame_of(RecordIndex record) const;

  uint32_t num_taken() const { return num_taken_; }  // loading or resident
  uint32_t num_resident() const { return num_resident_; }
  uint32_t num_resident_in(uint32_t moe_layer) const { return resident_in_layer_[moe_layer]; }

  // A cold record takes an empty frame.
  void StartLoad(FrameId frame, RecordIndex record);
  // The record that takes the frame has come.
  void SetResident(FrameId frame);
  // The record that takes the frame is cold again, the frame empty.
  void Clear(FrameId frame);

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  RecordIndex TakenBy(FrameId frame) const;

  const uint32_t num_experts_;
  std::vector<Residency> residency_;         // [num_records]
  std::vector<uint32_t> frame_of_;           // [num_records]
  std::vector<RecordIndex> record_in_;       // [num_frames]
  std::vector<uint32_t> resident_in_layer_;  // [num_moe_layers]
  uint32_t num_taken_ = 0;
  uint32_t num_resident_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_SLOT_TABLE_H_
