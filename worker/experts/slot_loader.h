// Copies records from the cache into slots, beside the steps.
#ifndef WORKER_EXPERTS_SLOT_LOADER_H_
#define WORKER_EXPERTS_SLOT_LOADER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/api/device.h"
#include "worker/experts/frame_arena.h"
#include "worker/experts/pool_figures.h"
#include "worker/experts/residency_policy.h"
#include "worker/experts/table_checker.h"

namespace spearfish::worker {

enum class LoadPurpose : uint8_t { kLoad, kReload, kPromotion };
inline constexpr size_t kNumLoadPurposes = 3;

struct SlotLoad {
  FrameId frame;
  RecordIndex record;
  LoadPurpose purpose;
};

// Owns the copy stream, a queue of loads and the batches that are on their way. Used by the thread
// that enqueues steps; what it is made of must outlive it; destruction waits for the copies on
// their way. A load is queued, then on its way, then arrived; it is dropped from any of the first
// two by Withdraw, and then never arrives. Invariants: at most one load a frame that is not
// dropped; a copy waits for everything that was enqueued on the steps' stream before the AwaitSteps
// that follows its Enqueue; nothing allocates after Create (what the backend does in a call is its
// own).
class SlotLoader {
 public:
  struct Options {
    uint64_t max_bytes_in_flight;
    uint64_t batch_bytes;
    std::function<absl::Time()> clock;
  };
  struct Parts {
    kernels::Device& device;
    const FrameArena& arena;
    std::span<const uint64_t> record_addresses;
    TableChecker* checker;  // may be null
  };
  static absl::StatusOr<std::unique_ptr<SlotLoader>> Create(Options options, const Parts& parts);
  ~SlotLoader();

  void Enqueue(const SlotLoad& load);
  // Whether loads wait for AwaitSteps before Submit may touch them.
  bool wants_steps() const { return wants_steps_; }
  // Copies submitted from now on wait for what is enqueued on `steps`, the steps' stream.
  void AwaitSteps(kernels::Stream& steps);
  // Hands queued loads to the copy stream, in order, while less than max_bytes_in_flight are on
  // their way. Does nothing while wants_steps().
  void Submit();
  // Looks which batches have come to their end.
  void Poll();
  // Waits for the end of the oldest batch on its way, if there is one.
  void WaitForOne();
  // Appends the loads that have arrived since the last call, as far as Poll knows.
  void TakeArrived(std::vector<SlotLoad>& out);

  // Drops the frame's load, if it has one that has not been taken as arrived. When it is on its
  // way, later work of `steps` waits for the end of the copy, which no longer matters.
  void Withdraw(FrameId frame, kernels::Stream& steps);
  // Drops all that is queued and appends it.
  void CancelQueued(std::vector<SlotLoad>& out);

  uint64_t num_queued() const { return num_queued_; }
  uint64_t num_on_their_way() const { return num_on_their_way_; }
  uint64_t num_dropped() const { return num_dropped_; }
  // False while anything is queued, on its way (wanted or not) or arrived and not taken.
  bool idle() const { return num_queued_ == 0 && first_batch_ == end_batch_ && arrived_.empty(); }
  // Of loads that have arrived; seconds as far as Poll and WaitForOne have looked.
  TransferFigures figures(LoadPurpose purpose) const;

 private:
  using Ticket = uint64_t;  // of a load; none is 0

  struct Queued {
    SlotLoad load;
    Ticket ticket;
  };
  // A batch of copies: number n uses slot n % batches_.size().
  struct Batch {
    std::unique_ptr<kernels::Event> finished;
    std::vector<Queued> loads;
    bool steps_wait = false;  // for `finished`
  };
  enum class State : uint8_t { kNone, kQueued, kOnItsWay, kArrived };
  struct FrameLoad {
    State state = State::kNone;
    Ticket ticket = 0;   // of the load that is wanted
    uint64_t batch = 0;  // its batch when kOnItsWay
  };
  struct Transfers {
    uint64_t on_their_way = 0;
    absl::Time busy_since;
    TransferFigures figures;
  };

  SlotLoader(Options options, const Parts& parts);
  absl::Status CreateStreamAndEvents();
  bool Wanted(const Queued& queued) const;
  Batch& batch(uint64_t number) { return batches_[number % batches_.size()]; }
  uint64_t num_batches_on_their_way() const { return end_batch_ - first_batch_; }
  void CompactQueue();
  void FillBatch(Batch& batch, uint64_t max_loads);
  void SendBatch(Batch& batch);
  void FinishOldest();
  Transfers& transfers(LoadPurpose purpose) { return transfers_[static_cast<size_t>(purpose)]; }

  const Options options_;
  const Parts parts_;
  const uint64_t max_batch_loads_;
  const uint64_t max_loads_on_their_way_;

  std::unique_ptr<kernels::Event> steps_;  // the steps' stream at the last AwaitSteps
  std::vector<FrameLoad> frames_;          // [num_frames]
  Ticket last_ticket_ = 0;

  // [queue_begin_, size) is waiting; dropped loads stay in it until their turn or a compaction.
  std::vector<Queued> queue_;
  size_t queue_begin_ = 0;
  bool wants_steps_ = false;

  std::vector<Batch> batches_;
  uint64_t first_batch_ = 0;  // [first_batch_, end_batch_) are on their way
  uint64_t end_batch_ = 0;
  uint64_t copies_on_their_way_ = 0;  // dropped ones too
  std::vector<kernels::CopyEntry> entries_;
  std::vector<Queued> arrived_;

  uint64_t num_queued_ = 0;
  uint64_t num_on_their_way_ = 0;
  uint64_t num_dropped_ = 0;
  std::array<Transfers, kNumLoadPurposes> transfers_;

  // Last: its destruction waits for copies, which use the rest.
  std::unique_ptr<kernels::Stream> copies_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_SLOT_LOADER_H_
