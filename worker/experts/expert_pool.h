// The pool: which experts are in slots, and every change of that.
#ifndef WORKER_EXPERTS_EXPERT_POOL_H_
#define WORKER_EXPERTS_EXPERT_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "kernels/api/device.h"
#include "worker/experts/activation_counters.h"
#include "worker/experts/address_table.h"
#include "worker/experts/frame_arena.h"
#include "worker/experts/pool_figures.h"
#include "worker/experts/residency_policy.h"
#include "worker/experts/slot_loader.h"
#include "worker/experts/slot_table.h"
#include "worker/experts/table_checker.h"

namespace spearfish::worker {

struct PoolOptions {
  // Share of all experts that may be in slots at once, 0 to 1.
  double max_coverage = 1.0;
  // Copies on their way at once, and in one batch: little enough that frames under a copy that is
  // no longer wanted are free again within milliseconds.
  uint64_t max_bytes_in_flight = uint64_t{256} << 20;
  uint64_t batch_bytes = uint64_t{64} << 20;
  double promotions_per_layer_token = 1.0;
  // Runs the TableChecker on every change and step. Always on in debug builds.
  bool check_table = false;
  std::function<absl::Time()> clock = [] { return absl::Now(); };  // for the seconds of transfers

  absl::Status Validate() const;
};

// Slots are the arena's frames of use kHardSlot and kSoftSlot. Uses are given before Create; after
// it only Reclaim and Return change them. One thread (the engine's) calls everything but figures().
// Arena, table, counters, records and device must outlive it; destruction waits for the copies that
// are on their way.
//
// Table discipline (checked by TableChecker):
// - the table leads to a slot only after the copy into it has finished; until then, and again from
//   the moment when the slot is wanted for something else, it leads to the record in the cache;
// - a slot is overwritten only after the last step that could read it: copies wait for the event of
//   that step, and a frame that is given away is handed to work of the steps' own stream, which
//   first waits for a copy that may still be writing it;
// - entries change between steps only.
class ExpertPool {
 public:
  struct Parts {
    kernels::Device& device;
    FrameArena& arena;
    AddressTable& table;
    ActivationCounters& counters;
    // In the mapped cache, [num_records]; the table leads there. A record is as long as a frame.
    std::span<const uint64_t> record_addresses;
  };
  // InvalidArgument for the options; the device's errors.
  static absl::StatusOr<std::unique_ptr<ExpertPool>> Create(const PoolOptions& options,
                                                            const Parts& parts,
                                                            uint32_t num_experts);
  ~ExpertPool();

  // --- Filling ---
  // Starts from recorded activation counts (a heatmap), [num_records].
  void Seed(std::span<const double> counts);
  // Fills every empty slot, hottest experts first, lowest frames first, and waits for it. For the
  // start, or when nothing runs. `stream` is the one that steps run on.
  void Load(kernels::Stream& stream);
  // The same without waiting: copies run beside the steps from now on, entry by entry.
  void StartReload();
  // Forgets what StartReload and promotions have not handed to the device yet; their slots are
  // empty until the next StartReload or Return.
  void CancelLoads();

  // --- Steps: Begin, the step's work, End, PlanNext (while it runs), then, once the stream has
  // come to the end of the step, Finish. Finish may be left out when the next step is begun before
  // this one has ended: the next Finish takes in both. ---
  // Brings into the table what has arrived, takes planned victims out of it, starts copies.
  void BeginStep(kernels::Stream& stream);
  // Marks the end of the step's reads and enqueues the read-back of the counters.
  void EndStep(kernels::Stream& stream);
  // Chooses promotions from what the steps before have routed.
  void PlanNext();
  // Takes in the step's routing. `num_tokens` rows were routed.
  void FinishStep(uint32_t num_tokens);

  // For the time between steps when none comes: as BeginStep. True while copies are queued or on
  // their way.
  bool Maintain(kernels::Stream& stream);

  // Whether the table leads a step begun now to a slot for this record.
  bool resident(RecordIndex record) const;

  // --- Giving frames up and getting them back, between steps. ---
  // Heat of the experts that are or come into these frames, empty ones counting nothing.
  double HeatOf(FrameId begin, uint32_t num_frames) const;
  // Soft slots [begin, begin + num_frames) become `use` (kKv or kWorkspace). Their experts are cold
  // again; work enqueued on `stream` from now on may overwrite the frames.
  void Reclaim(FrameId begin, uint32_t num_frames, FrameUse use, kernels::Stream& stream);
  // Gives them back as empty soft slots, which the next BeginStep or Maintain starts to refill.
  // Work that uses them has been enqueued on `stream` already.
  void Return(FrameId begin, uint32_t num_frames, kernels::Stream& stream);

  // Any thread.
  PoolFigures figures() const;

 private:
  enum class Phase : uint8_t { kBetweenSteps, kInStep, kStepEnqueued };
  ExpertPool(const PoolOptions& options, const Parts& parts, uint32_t num_experts);

  bool IsSlot(FrameId frame) const;
  uint32_t NumEmptySlotsToFill() const;
  void SetEntry(RecordIndex record, uint64_t address);
  void Flush(kernels::Stream& stream);
  void TakeIn(kernels::Stream& stream);
  void ActivateArrived();
  void ApplyPromotions();
  void StartLoad(FrameId frame, RecordIndex record, LoadPurpose purpose);
  void Empty(FrameId frame);
  void CountActivations();
  void PublishFigures();

  const PoolOptions options_;
  const Parts parts_;
  const uint32_t num_experts_;
  const uint32_t num_records_;
  const uint32_t num_layers_;
  const uint32_t max_taken_;  // slots, by max_coverage

  ResidencyPolicy policy_;
  SlotTable slots_;
  std::vector<bool> returned_;             // [num_frames]: what it gets now is a reload
  std::unique_ptr<TableChecker> checker_;  // null when not asked for
  Phase phase_ = Phase::kBetweenSteps;
  bool refill_wanted_ = false;
  std::vector<Promotion> planned_;
  std::vector<uint32_t> counts_;       // [num_records] at the last FinishStep
  std::vector<uint32_t> activations_;  // [num_records] since then

  // Kept for their capacity.
  std::vector<RecordIndex> chosen_;
  std::vector<SlotLoad> loads_;

  PoolFigures figures_;  // the engine thread's
  mutable Mutex mutex_;
  PoolFigures published_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<SlotLoader> loader_;  // last: its destruction waits for copies
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_EXPERT_POOL_H_
