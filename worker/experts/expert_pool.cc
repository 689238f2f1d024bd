#include "worker/experts/expert_pool.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

// Against 0.29 * 100 being a little less than 29.
constexpr double kRounding = 1e-9;

#ifdef NDEBUG
constexpr bool kDebugBuild = false;
#else
constexpr bool kDebugBuild = true;
#endif

}  // namespace

absl::Status PoolOptions::Validate() const {
  if (!(max_coverage >= 0 && max_coverage <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("coverage out of range: ", max_coverage, "; give a share from 0 to 1"));
  }
  if (!(promotions_per_layer_token >= 0)) {
    return absl::InvalidArgumentError(absl::StrCat("promotions per layer and token out of range: ",
                                                   promotions_per_layer_token, "; give 0 or more"));
  }
  if (batch_bytes == 0 || max_bytes_in_flight == 0) {
    return absl::InvalidArgumentError(absl::StrCat("pool transfers too small: ", batch_bytes,
                                                   " bytes a batch, ", max_bytes_in_flight,
                                                   " bytes in flight; give more than 0"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExpertPool>> ExpertPool::Create(const PoolOptions& options,
                                                               const Parts& parts,
                                                               uint32_t num_experts) {
  SF_RETURN_IF_ERROR(options.Validate());
  SF_CHECK(num_experts > 0 && parts.record_addresses.size() % num_experts == 0);
  auto pool = absl::WrapUnique(new ExpertPool(options, parts, num_experts));
  SF_ASSIGN_OR_RETURN(
      pool->loader_,
      SlotLoader::Create({.max_bytes_in_flight = options.max_bytes_in_flight,
                          .batch_bytes = std::min(options.batch_bytes, options.max_bytes_in_flight),
                          .clock = options.clock},
                         {.device = parts.device,
                          .arena = parts.arena,
                          .record_addresses = parts.record_addresses,
                          .checker = pool->checker_.get()}));
  pool->PublishFigures();
  return pool;
}

ExpertPool::ExpertPool(const PoolOptions& options, const Parts& parts, uint32_t num_experts)
    : options_(options),
      parts_(parts),
      num_experts_(num_experts),
      num_records_(static_cast<uint32_t>(parts.record_addresses.size())),
      num_layers_(num_records_ / num_experts),
      max_taken_(static_cast<uint32_t>(
          std::floor(options.max_coverage * static_cast<double>(num_records_) + kRounding))),
      policy_({.num_moe_layers = num_layers_,
               .num_experts = num_experts,
               .promotions_per_layer_token = options.promotions_per_layer_token}),
      slots_(num_records_, num_experts, parts.arena.num_frames()),
      returned_(parts.arena.num_frames(), false),
      counts_(num_records_, 0),
      activations_(num_records_, 0) {
  if (kDebugBuild || options.check_table) {
    checker_ = std::make_unique<TableChecker>(
        TableChecker::Memory{.base = reinterpret_cast<uint64_t>(parts.arena.base()),
                             .frame_bytes = parts.arena.frame_bytes(),
                             .num_frames = parts.arena.num_frames(),
                             .record_addresses = parts.record_addresses});
    for (uint32_t f = 0; f < parts.arena.num_frames(); ++f) {
      if (!IsSlot(FrameId{f})) checker_->FrameGivenAway(FrameId{f});
    }
  }
  planned_.reserve(num_records_);
  chosen_.reserve(num_records_);
  loads_.reserve(parts.arena.num_frames());
  figures_.frame_bytes = parts.arena.frame_bytes();
  figures_.num_records = num_records_;
  figures_.extra_host_bytes = parts.table.host_bytes() + parts.counters.host_bytes();
  figures_.layers.resize(num_layers_);
}

ExpertPool::~ExpertPool() = default;

// --- Filling ---

void ExpertPool::Seed(std::span<const double> counts) { policy_.Seed(counts); }

void ExpertPool::Load(kernels::Stream& stream) {
  SF_CHECK(phase_ != Phase::kInStep);
  StartReload();
  while (Maintain(stream)) loader_->WaitForOne();
  stream.Synchronize();
}

void ExpertPool::StartReload() {
  refill_wanted_ = false;
  const uint32_t num_empty = NumEmptySlotsToFill();
  if (num_empty == 0) return;
  chosen_.clear();
  policy_.ChooseLoads(slots_.residency(), num_empty, chosen_);
  auto next = chosen_.begin();
  for (uint32_t f = 0; f < parts_.arena.num_frames() && next != chosen_.end(); ++f) {
    const FrameId frame{f};
    if (!IsSlot(frame) || slots_.record_in(frame).has_value()) continue;
    StartLoad(frame, *next++, returned_[f] ? LoadPurpose::kReload : LoadPurpose::kLoad);
  }
  PublishFigures();
}

void ExpertPool::CancelLoads() {
  refill_wanted_ = false;
  planned_.clear();
  loads_.clear();
  loader_->CancelQueued(loads_);
  for (const SlotLoad& load : loads_) slots_.Clear(load.frame);
  PublishFigures();
}

bool ExpertPool::IsSlot(FrameId frame) const {
  const FrameUse use = parts_.arena.use(frame);
  return use == FrameUse::kHardSlot || use == FrameUse::kSoftSlot;
}

uint32_t ExpertPool::NumEmptySlotsToFill() const {
  const FrameFigures frames = parts_.arena.figures();
  const uint32_t num_fillable = std::min(frames.hard_slots + frames.soft_slots, max_taken_);
  return num_fillable - std::min(num_fillable, slots_.num_taken());
}

void ExpertPool::StartLoad(FrameId frame, RecordIndex record, LoadPurpose purpose) {
  slots_.StartLoad(frame, record);
  loader_->Enqueue({.frame = frame, .record = record, .purpose = purpose});
}

// --- Steps ---

void ExpertPool::BeginStep(kernels::Stream& stream) {
  SF_CHECK(phase_ != Phase::kInStep);
  TakeIn(stream);
  phase_ = Phase::kInStep;
  if (checker_ != nullptr) checker_->StepBegins();
  PublishFigures();
}

void ExpertPool::EndStep(kernels::Stream& stream) {
  SF_CHECK(phase_ == Phase::kInStep);
  phase_ = Phase::kStepEnqueued;
  if (checker_ != nullptr) checker_->StepEnds();
  parts_.counters.EnqueueRead(stream);
}

void ExpertPool::PlanNext() {
  loader_->Poll();
  loader_->Submit();
  const uint64_t queued_bytes = loader_->num_queued() * parts_.arena.frame_bytes();
  if (!planned_.empty() || queued_bytes >= options_.max_bytes_in_flight) return;
  policy_.ChoosePromotions(slots_.residency(), planned_);
}

void ExpertPool::FinishStep(uint32_t num_tokens) {
  SF_CHECK(phase_ == Phase::kStepEnqueued);
  phase_ = Phase::kBetweenSteps;
  loader_->Poll();
  CountActivations();
  policy_.Observe(activations_, num_tokens);
  PublishFigures();
}

bool ExpertPool::Maintain(kernels::Stream& stream) {
  SF_CHECK(phase_ != Phase::kInStep);
  TakeIn(stream);
  PublishFigures();
  return !loader_->idle();
}

// Loads that are enqueued here go into slots that steps enqueued before may still read: the copies
// wait for them. Later steps find the table without these slots.
void ExpertPool::TakeIn(kernels::Stream& stream) {
  loader_->Poll();
  ActivateArrived();
  ApplyPromotions();
  if (refill_wanted_) StartReload();
  Flush(stream);
  if (loader_->wants_steps()) loader_->AwaitSteps(stream);
  loader_->Submit();
}

void ExpertPool::ActivateArrived() {
  loads_.clear();
  loader_->TakeArrived(loads_);
  for (const SlotLoad& load : loads_) {
    slots_.SetResident(load.frame);
    SetEntry(load.record, reinterpret_cast<uint64_t>(parts_.arena.address(load.frame)));
  }
}

// What was planned may have been overtaken by a Reclaim or a reload since.
void ExpertPool::ApplyPromotions() {
  for (const Promotion& promotion : planned_) {
    if (slots_.residency(promotion.in) != Residency::kCold ||
        slots_.residency(promotion.out) != Residency::kResident) {
      continue;
    }
    const FrameId frame = slots_.frame_of(promotion.out);
    Empty(frame);
    StartLoad(frame, promotion.in, LoadPurpose::kPromotion);
  }
  planned_.clear();
}

// Takes the frame's record out of the books and, if it is there, out of the table.
void ExpertPool::Empty(FrameId frame) {
  const std::optional<RecordIndex> record = slots_.record_in(frame);
  if (!record.has_value()) return;
  if (resident(*record)) SetEntry(*record, parts_.record_addresses[*record]);
  slots_.Clear(frame);
}

void ExpertPool::SetEntry(RecordIndex record, uint64_t address) {
  parts_.table.Set(record / num_experts_, ExpertId{record % num_experts_}, address);
  if (checker_ != nullptr) checker_->EntrySet(record, address);
}

void ExpertPool::Flush(kernels::Stream& stream) {
  parts_.table.Flush(stream);
  if (checker_ != nullptr) checker_->Flushed();
}

void ExpertPool::CountActivations() {
  for (uint32_t layer = 0; layer < num_layers_; ++layer) {
    // Plain pointers and 32-bit sums: the compiler makes vector instructions of it.
    const uint32_t* const counts = parts_.counters.counts(layer).data();
    const Residency* const residency = slots_.residency().data() + layer * num_experts_;
    uint32_t* const last_counts = counts_.data() + layer * num_experts_;
    uint32_t* const activations = activations_.data() + layer * num_experts_;
    uint32_t hits = 0;
    uint32_t all = 0;
    for (uint32_t expert = 0; expert < num_experts_; ++expert) {
      const uint32_t since = counts[expert] - last_counts[expert];  // modulo 2^32
      last_counts[expert] = counts[expert];
      activations[expert] = since;
      all += since;
      hits += residency[expert] == Residency::kResident ? since : 0;
    }
    figures_.layers[layer].hits += hits;
    figures_.layers[layer].misses += all - hits;
  }
}

bool ExpertPool::resident(RecordIndex record) const {
  return slots_.residency(record) == Residency::kResident;
}

// --- Frames ---

double ExpertPool::HeatOf(FrameId begin, uint32_t num_frames) const {
  SF_CHECK(Index(begin) + uint64_t{num_frames} <= parts_.arena.num_frames());
  double heat = 0;
  for (uint32_t f = Index(begin); f < Index(begin) + num_frames; ++f) {
    const std::optional<RecordIndex> record = slots_.record_in(FrameId{f});
    if (record.has_value()) heat += policy_.heat(*record);
  }
  return heat;
}

void ExpertPool::Reclaim(FrameId begin, uint32_t num_frames, FrameUse use,
                         kernels::Stream& stream) {
  SF_CHECK(phase_ != Phase::kInStep);
  SF_CHECK(use == FrameUse::kKv || use == FrameUse::kWorkspace);
  SF_CHECK(Index(begin) + uint64_t{num_frames} <= parts_.arena.num_frames());
  for (uint32_t f = Index(begin); f < Index(begin) + num_frames; ++f) {
    SF_CHECK(parts_.arena.use(FrameId{f}) == FrameUse::kSoftSlot);
    loader_->Withdraw(FrameId{f}, stream);
    Empty(FrameId{f});
    parts_.arena.SetUse(FrameId{f}, use);
  }
  Flush(stream);
  for (uint32_t f = Index(begin); checker_ != nullptr && f < Index(begin) + num_frames; ++f) {
    checker_->FrameGivenAway(FrameId{f});
  }
  figures_.reclaims.count += num_frames;
  PublishFigures();
}

// The copies into these frames wait for the stream where they are submitted, by TakeIn.
void ExpertPool::Return(FrameId begin, uint32_t num_frames, kernels::Stream& /*stream*/) {
  SF_CHECK(phase_ != Phase::kInStep);
  SF_CHECK(Index(begin) + uint64_t{num_frames} <= parts_.arena.num_frames());
  for (uint32_t f = Index(begin); f < Index(begin) + num_frames; ++f) {
    const FrameUse use = parts_.arena.use(FrameId{f});
    SF_CHECK(use == FrameUse::kKv || use == FrameUse::kWorkspace);
    parts_.arena.SetUse(FrameId{f}, FrameUse::kSoftSlot);
    returned_[f] = true;
    if (checker_ != nullptr) checker_->FrameGivenBack(FrameId{f});
  }
  refill_wanted_ = true;
  PublishFigures();
}

// --- Figures ---

void ExpertPool::PublishFigures() {
  figures_.frames = parts_.arena.figures();
  figures_.num_resident = slots_.num_resident();
  figures_.num_loading = loader_->num_queued() + loader_->num_on_their_way();
  figures_.loads = loader_->figures(LoadPurpose::kLoad);
  figures_.reloads = loader_->figures(LoadPurpose::kReload);
  figures_.promotions = loader_->figures(LoadPurpose::kPromotion);
  figures_.cancelled_loads = loader_->num_dropped();
  for (uint32_t layer = 0; layer < num_layers_; ++layer) {
    figures_.layers[layer].resident = slots_.num_resident_in(layer);
  }
  MutexLock lock(mutex_);
  published_ = figures_;
}

PoolFigures ExpertPool::figures() const {
  MutexLock lock(mutex_);
  return published_;
}

}  // namespace spearfish::worker
