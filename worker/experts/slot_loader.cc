#include "worker/experts/slot_loader.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

// Steps that bring few promotions make small batches: more events than full batches would need.
constexpr uint64_t kSpareBatches = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<SlotLoader>> SlotLoader::Create(Options options,
                                                               const Parts& parts) {
  auto loader = absl::WrapUnique(new SlotLoader(std::move(options), parts));
  SF_RETURN_IF_ERROR(loader->CreateStreamAndEvents());
  return loader;
}

SlotLoader::SlotLoader(Options options, const Parts& parts)
    : options_(std::move(options)),
      parts_(parts),
      max_batch_loads_(std::clamp<uint64_t>(options_.batch_bytes / parts.arena.frame_bytes(), 1,
                                            std::max<uint64_t>(parts.arena.num_frames(), 1))),
      max_loads_on_their_way_(
          std::max<uint64_t>(options_.max_bytes_in_flight / parts.arena.frame_bytes(), 1)),
      frames_(parts.arena.num_frames()) {
  const uint64_t num_frames = frames_.size();
  queue_.reserve(2 * num_frames);
  arrived_.reserve(num_frames);
  entries_.reserve(max_batch_loads_);
  const uint64_t full = std::min(max_loads_on_their_way_, num_frames) / max_batch_loads_;
  batches_.resize(full + kSpareBatches);
  for (Batch& batch : batches_) batch.loads.reserve(max_batch_loads_);
}

absl::Status SlotLoader::CreateStreamAndEvents() {
  SF_ASSIGN_OR_RETURN(steps_, parts_.device.CreateEvent());
  for (Batch& batch : batches_) {
    SF_ASSIGN_OR_RETURN(batch.finished, parts_.device.CreateEvent());
  }
  SF_ASSIGN_OR_RETURN(copies_, parts_.device.CreateStream("expert copies"));
  return absl::OkStatus();
}

SlotLoader::~SlotLoader() = default;

bool SlotLoader::Wanted(const Queued& queued) const {
  return frames_[Index(queued.load.frame)].ticket == queued.ticket;
}

void SlotLoader::Enqueue(const SlotLoad& load) {
  FrameLoad& frame = frames_[Index(load.frame)];
  SF_CHECK(frame.state == State::kNone);
  frame = {.state = State::kQueued, .ticket = ++last_ticket_};
  if (queue_.size() == queue_.capacity()) CompactQueue();
  queue_.push_back({load, frame.ticket});
  ++num_queued_;
  wants_steps_ = true;
}

// At most one load a frame is wanted, so that half of the capacity is free afterwards.
void SlotLoader::CompactQueue() {
  size_t kept = 0;
  for (size_t i = queue_begin_; i < queue_.size(); ++i) {
    if (Wanted(queue_[i])) queue_[kept++] = queue_[i];
  }
  queue_.resize(kept);
  queue_begin_ = 0;
}

void SlotLoader::AwaitSteps(kernels::Stream& steps) {
  steps.Record(*steps_);
  copies_->Wait(*steps_);
  wants_steps_ = false;
  if (parts_.checker != nullptr) parts_.checker->CopiesWaitForSteps();
}

void SlotLoader::Submit() {
  if (wants_steps_) return;
  while (num_queued_ > 0 && copies_on_their_way_ < max_loads_on_their_way_ &&
         num_batches_on_their_way() < batches_.size()) {
    Batch& next = batch(end_batch_);
    FillBatch(next, std::min(max_batch_loads_, max_loads_on_their_way_ - copies_on_their_way_));
    SendBatch(next);
  }
}

void SlotLoader::FillBatch(Batch& batch, uint64_t max_loads) {
  batch.loads.clear();
  batch.steps_wait = false;
  while (queue_begin_ < queue_.size() && batch.loads.size() < max_loads) {
    const Queued& next = queue_[queue_begin_++];
    if (Wanted(next)) batch.loads.push_back(next);
  }
  if (queue_begin_ == queue_.size()) {
    queue_.clear();
    queue_begin_ = 0;
  }
}

void SlotLoader::SendBatch(Batch& batch) {
  const absl::Time now = options_.clock();
  entries_.clear();
  for (const auto& [load, ticket] : batch.loads) {
    if (parts_.checker != nullptr) parts_.checker->LoadSubmitted(load.frame, load.record);
    entries_.push_back(
        {.destination = parts_.arena.address(load.frame),
         .source = reinterpret_cast<const void*>(parts_.record_addresses[load.record]),
         .bytes = parts_.arena.frame_bytes()});
    frames_[Index(load.frame)] = {.state = State::kOnItsWay, .ticket = ticket, .batch = end_batch_};
    Transfers& of_purpose = transfers(load.purpose);
    if (of_purpose.on_their_way++ == 0) of_purpose.busy_since = now;
  }
  copies_->CopyBatch(entries_);
  copies_->Record(*batch.finished);
  ++end_batch_;
  copies_on_their_way_ += batch.loads.size();
  num_queued_ -= batch.loads.size();
  num_on_their_way_ += batch.loads.size();
}

void SlotLoader::Poll() {
  while (first_batch_ != end_batch_ && batch(first_batch_).finished->Done()) FinishOldest();
}

void SlotLoader::WaitForOne() {
  if (first_batch_ == end_batch_) return;
  batch(first_batch_).finished->Synchronize();
  FinishOldest();
}

void SlotLoader::FinishOldest() {
  Batch& oldest = batch(first_batch_++);
  const absl::Time now = options_.clock();
  for (const Queued& copied : oldest.loads) {
    if (parts_.checker != nullptr) parts_.checker->LoadFinished(copied.load.frame);
    Transfers& of_purpose = transfers(copied.load.purpose);
    if (--of_purpose.on_their_way == 0) {
      of_purpose.figures.seconds += absl::ToDoubleSeconds(now - of_purpose.busy_since);
    }
    if (!Wanted(copied)) continue;
    ++of_purpose.figures.count;
    of_purpose.figures.bytes += parts_.arena.frame_bytes();
    frames_[Index(copied.load.frame)].state = State::kArrived;
    --num_on_their_way_;
    arrived_.push_back(copied);
  }
  copies_on_their_way_ -= oldest.loads.size();
}

void SlotLoader::TakeArrived(std::vector<SlotLoad>& out) {
  for (const Queued& arrived : arrived_) {
    if (!Wanted(arrived)) continue;
    frames_[Index(arrived.load.frame)] = {};
    out.push_back(arrived.load);
  }
  arrived_.clear();
}

void SlotLoader::Withdraw(FrameId frame, kernels::Stream& steps) {
  FrameLoad& load = frames_[Index(frame)];
  if (load.state == State::kNone) return;
  if (load.state == State::kQueued) --num_queued_;
  if (load.state == State::kOnItsWay) {
    --num_on_their_way_;
    Batch& copying = batch(load.batch);
    if (!copying.steps_wait) steps.Wait(*copying.finished);
    copying.steps_wait = true;
    if (parts_.checker != nullptr) parts_.checker->StepsWaitForLoad(frame);
  }
  ++num_dropped_;
  load = {};
}

void SlotLoader::CancelQueued(std::vector<SlotLoad>& out) {
  for (size_t i = queue_begin_; i < queue_.size(); ++i) {
    if (!Wanted(queue_[i])) continue;
    frames_[Index(queue_[i].load.frame)] = {};
    out.push_back(queue_[i].load);
  }
  queue_.clear();
  queue_begin_ = 0;
  num_dropped_ += num_queued_;
  num_queued_ = 0;
}

TransferFigures SlotLoader::figures(LoadPurpose purpose) const {
  return transfers_[static_cast<size_t>(purpose)].figures;
}

}  // namespace spearfish::worker
