#include "worker/experts/table_checker.h"

#include "common/base/check.h"

namespace spearfish::worker {

TableChecker::TableChecker(const Memory& memory)
    : memory_(memory),
      entries_(memory.record_addresses.begin(), memory.record_addresses.end()),
      frames_(memory.num_frames) {}

TableChecker::Frame& TableChecker::At(FrameId frame) {
  SF_CHECK(Index(frame) < frames_.size());
  return frames_[Index(frame)];
}

TableChecker::Frame* TableChecker::FrameAt(uint64_t address) {
  const uint64_t arena_bytes = memory_.frame_bytes * memory_.num_frames;
  if (address < memory_.base || address - memory_.base >= arena_bytes) return nullptr;
  return &frames_[(address - memory_.base) / memory_.frame_bytes];
}

void TableChecker::EntrySet(RecordIndex record, uint64_t address) {
  SF_CHECK(!in_step_);
  SF_CHECK(record < entries_.size());
  Frame* const to = FrameAt(address);
  if (to != nullptr) {
    const bool entry_is_a_frames_start = (address - memory_.base) % memory_.frame_bytes == 0;
    SF_CHECK(entry_is_a_frames_start);
    ++to->num_entries;
  } else {
    const bool entry_is_the_records_address = address == memory_.record_addresses[record];
    SF_CHECK(entry_is_the_records_address);
  }
  if (Frame* const from = FrameAt(entries_[record]); from != nullptr) --from->num_entries;
  entries_[record] = address;
  flushed_ = false;
}

void TableChecker::Flushed() { flushed_ = true; }

void TableChecker::StepBegins() {
  SF_CHECK(!in_step_);
  const bool table_is_flushed = flushed_;
  SF_CHECK(table_is_flushed);
  in_step_ = true;
  ++point_;
  for (RecordIndex record = 0; record < entries_.size(); ++record) {
    Frame* const frame = FrameAt(entries_[record]);
    if (frame == nullptr) continue;
    const bool slots_write_has_finished = frame->unfinished_writes == 0;
    SF_CHECK(slots_write_has_finished);
    const bool slot_holds_the_entrys_record = frame->content == record;
    SF_CHECK(slot_holds_the_entrys_record);
    const bool slot_is_given_away = frame->given_away;
    SF_CHECK(!slot_is_given_away);
    frame->last_use = point_;
  }
}

void TableChecker::StepEnds() {
  SF_CHECK(in_step_);
  in_step_ = false;
}

void TableChecker::StepsWaitForLoad(FrameId frame) { At(frame).unawaited_writes = 0; }

void TableChecker::FrameGivenAway(FrameId frame) {
  SF_CHECK(!in_step_);
  Frame& given = At(frame);
  SF_CHECK(!given.given_away);
  const bool table_leads_to_given_frame = given.num_entries > 0 || !flushed_;
  SF_CHECK(!table_leads_to_given_frame);
  const bool steps_wait_for_copies_into_given_frame = given.unawaited_writes == 0;
  SF_CHECK(steps_wait_for_copies_into_given_frame);
  given.given_away = true;
  given.content = kNobody;
}

void TableChecker::FrameGivenBack(FrameId frame) {
  SF_CHECK(!in_step_);
  Frame& given = At(frame);
  SF_CHECK(given.given_away);
  given.given_away = false;
  given.last_use = ++point_;
}

void TableChecker::CopiesWaitForSteps() {
  // What is left of a step that is being enqueued comes after the wait.
  awaited_point_ = in_step_ ? point_ - 1 : point_;
}

void TableChecker::LoadSubmitted(FrameId frame, RecordIndex record) {
  SF_CHECK(record < entries_.size());
  Frame& slot = At(frame);
  const bool table_leads_to_written_slot = slot.num_entries > 0;
  SF_CHECK(!table_leads_to_written_slot);
  const bool written_slot_is_given_away = slot.given_away;
  SF_CHECK(!written_slot_is_given_away);
  const bool copy_waits_for_the_slots_last_use = slot.last_use <= awaited_point_;
  SF_CHECK(copy_waits_for_the_slots_last_use);
  ++slot.unfinished_writes;
  ++slot.unawaited_writes;
  slot.content = record;
}

void TableChecker::LoadFinished(FrameId frame) {
  Frame& slot = At(frame);
  SF_CHECK(slot.unfinished_writes > 0);
  --slot.unfinished_writes;
  if (slot.unawaited_writes > slot.unfinished_writes)
    slot.unawaited_writes = slot.unfinished_writes;
}

}  // namespace spearfish::worker
