#include "worker/experts/slot_table.h"

#include "common/base/check.h"

namespace spearfish::worker {

SlotTable::SlotTable(uint32_t num_records, uint32_t num_experts, uint32_t num_frames)
    : num_experts_(num_experts),
      residency_(num_records, Residency::kCold),
      frame_of_(num_records, kNone),
      record_in_(num_frames, kNone),
      resident_in_layer_(num_records / num_experts, 0) {}

std::optional<RecordIndex> SlotTable::record_in(FrameId frame) const {
  const RecordIndex record = record_in_[Index(frame)];
  if (record == kNone) return std::nullopt;
  return record;
}

FrameId SlotTable::frame_of(RecordIndex record) const {
  SF_CHECK(frame_of_[record] != kNone);
  return FrameId{frame_of_[record]};
}

RecordIndex SlotTable::TakenBy(FrameId frame) const {
  const RecordIndex record = record_in_[Index(frame)];
  SF_CHECK(record != kNone);
  return record;
}

void SlotTable::StartLoad(FrameId frame, RecordIndex record) {
  SF_CHECK(record_in_[Index(frame)] == kNone && residency_[record] == Residency::kCold);
  record_in_[Index(frame)] = record;
  frame_of_[record] = Index(frame);
  residency_[record] = Residency::kLoading;
  ++num_taken_;
}

void SlotTable::SetResident(FrameId frame) {
  const RecordIndex record = TakenBy(frame);
  SF_CHECK(residency_[record] == Residency::kLoading);
  residency_[record] = Residency::kResident;
  ++num_resident_;
  ++resident_in_layer_[record / num_experts_];
}

void SlotTable::Clear(FrameId frame) {
  const RecordIndex record = TakenBy(frame);
  if (residency_[record] == Residency::kResident) {
    --num_resident_;
    --resident_in_layer_[record / num_experts_];
  }
  residency_[record] = Residency::kCold;
  frame_of_[record] = kNone;
  record_in_[Index(frame)] = kNone;
  --num_taken_;
}

}  // namespace spearfish::worker
