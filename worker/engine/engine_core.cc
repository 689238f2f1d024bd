#include "worker/engine/engine_core.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "worker/kv/block_table.h"

namespace spearfish::worker {
namespace {

SchedulerLimits LimitsFor(const EngineOptions& options, const Model& model) {
  const uint32_t tokens = std::min(options.max_num_batched_tokens, model.max_step_tokens());
  return {.max_num_seqs = std::min({options.max_num_seqs, model.max_step_sequences(), tokens}),
          .max_num_batched_tokens = tokens,
          .max_prefill_chunk_tokens = options.max_prefill_chunk_tokens,
          .block_tokens = model.kv_block_tokens()};
}

PrefillBorrowing BorrowingFor(const SchedulerLimits& limits, const Model& model) {
  const bool has_more = model.max_borrowed_step_tokens() > model.max_step_tokens();
  return {limits.max_num_batched_tokens, has_more ? model.max_borrowed_step_tokens() : 0};
}

ExpertAccounting AccountingFor(const EngineOptions& options, const Model& model) {
  const ModelConfig& config = model.config();
  const uint64_t moe_layers =
      static_cast<uint64_t>(std::count(config.moe_layers.begin(), config.moe_layers.end(), true));
  return {.activations_per_row = moe_layers * config.num_experts_per_token,
          .record_bytes = model.expert_record_bytes(),
          .miss_reader = options.miss_reader};
}

}  // namespace

EngineCore::EngineCore(const EngineOptions& options, Model& model, const Tokenizer& tokenizer,
                       IdReleased id_released)
    : model_(model),
      tokenizer_(tokenizer),
      id_released_(std::move(id_released)),
      limits_(LimitsFor(options, model)),
      borrowing_(BorrowingFor(limits_, model)),
      scheduler_(limits_),
      experts_(AccountingFor(options, model)),
      clock_(options.clock),
      blocks_(model.kv_blocks()),
      builder_(model.config().vocab_size) {}

void EngineCore::Add(std::unique_ptr<const PreparedRequest> prepared, EventSink sink,
                     absl::Time submitted) {
  const GenerationRequest& request = prepared->request();
  auto live = std::make_unique<LiveRequest>();
  live->sink = std::move(sink);
  live->arrival = next_arrival_++;
  live->num_unfinished = request.num_unfinished();
  for (uint32_t i = 0; i < request.num_sequences; ++i) {
    live->sequences.push_back(nullptr);
    if (prepared->finished_before(i)) continue;
    live->sequences.back() = std::make_unique<Sequence>(
        *live, *prepared, i, BlockTable(blocks_, limits_.block_tokens), tokenizer_);
    live->sequences.back()->times() = {.submitted = submitted,
                                       .resumed = !prepared->resumed_tokens(i).empty()};
  }
  live->prepared = std::move(prepared);
  if (request.deadline != absl::InfiniteFuture()) {
    deadlines_.emplace(request.deadline, live.get());
  }
  num_unfinished_ += live->num_unfinished;
  ++totals_.requests;
  LiveRequest& added = *live;
  SF_CHECK(live_.emplace(request.request_id, std::move(live)).second);
  Begin(added);
}

void EngineCore::Begin(LiveRequest& live) {
  Sequence* first = nullptr;
  std::vector<std::pair<Sequence*, SequenceEnd>> over;
  for (const std::unique_ptr<Sequence>& sequence : live.sequences) {
    if (sequence == nullptr) continue;
    if (std::optional<SequenceEnd> end = sequence->Resume()) {
      over.emplace_back(sequence.get(), *std::move(end));
    } else if (first == nullptr) {
      first = sequence.get();
    }
  }
  if (first != nullptr) waiting_.insert(first);
  if (over.empty()) return;
  FinishPrompt(first != nullptr ? *first : *over.front().first);
  // Finishing the last of them may destroy `live`.
  for (const auto& [sequence, end] : over) Finish(*sequence, end);
}

void EngineCore::Abort(const std::string& request_id) {
  const auto found = live_.find(request_id);
  if (found == live_.end()) return;
  LiveRequest& live = *found->second;
  // Finishing the last of them destroys `live`.
  for (uint32_t i = 0, left = live.num_unfinished; left > 0; ++i) {
    if (live.sequences[i] == nullptr) continue;
    --left;
    Sequence& sequence = *live.sequences[i];
    TokensDelta rest;
    rest.index = i;
    sequence.FlushText(rest.text);
    if (live.prepared->request().output.text && !rest.text.empty()) live.sink(std::move(rest));
    Finish(sequence, {FinishReason::kAborted, {}});
  }
}

void EngineCore::ExpireDeadlines(absl::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    LiveRequest& live = *deadlines_.begin()->second;
    const GenerationRequest& request = live.prepared->request();
    Fail(live, absl::DeadlineExceededError(absl::StrCat(
                   "deadline passed: request ", request.request_id, ", deadline ",
                   absl::FormatTime(request.deadline, absl::UTCTimeZone()),
                   live.prompt_done ? ", while generating" : ", before its first token",
                   "; allow more time or ask for fewer tokens")));
  }
}

void EngineCore::FailAll(const absl::Status& status) {
  while (!live_.empty()) Fail(*live_.begin()->second, status);
}

void EngineCore::CollectCandidates(Waiting waiting) {
  candidates_.assign(running_.begin(), running_.end());
  num_running_candidates_ = num_running();
  if (waiting == Waiting::kInclude) {
    const size_t num_admissible = std::min<size_t>(
        waiting_.size(),
        limits_.max_num_seqs - std::min<size_t>(running_.size(), limits_.max_num_seqs));
    candidates_.insert(candidates_.end(), waiting_.begin(),
                       std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(num_admissible)));
  }
  loads_.clear();
  for (const Sequence* sequence : candidates_) loads_.push_back(sequence->load());
}

SchedulerState EngineCore::state() const {
  return {.sequences = loads_,
          .num_running = num_running_candidates_,
          .num_free_blocks = blocks_.num_free()};
}

void EngineCore::ScheduleStep() {
  CollectCandidates(Waiting::kInclude);
  const uint32_t borrowed_rows = PlanStep();
  TakePlaces();
  blocks_.Trim();
  if (borrowed_rows > 0) {
    BorrowFrames(borrowed_rows);
  } else {
    ReturnFrames();
  }
  builder_.Clear();
  for (const ScheduledPiece& piece : schedule_.pieces) {
    builder_.Add(*candidates_[piece.sequence], piece.num_tokens);
  }
  SF_CHECK(live_.empty() || !schedule_.pieces.empty());
}

uint32_t EngineCore::PlanStep() {
  SchedulerState state = this->state();
  scheduler_.Plan(state, schedule_);
  if (schedule_.num_preempted > 0 && granted_rows_ > 0) {
    // Rather a shorter chunk than work done twice: the frames may be what KV lacks.
    ReturnFrames();
    state = this->state();
    scheduler_.Plan(state, schedule_);
  }
  if (!borrowing_.possible()) return 0;
  state.borrowed_rows = borrowing_.max_rows();
  scheduler_.Plan(state, borrowed_schedule_);
  const uint32_t num_rows = borrowing_.RowsToBorrow({.base = CountRows(schedule_),
                                                     .borrowed = CountRows(borrowed_schedule_),
                                                     .granted_rows = granted_rows_});
  if (num_rows > 0) std::swap(schedule_, borrowed_schedule_);
  return num_rows;
}

void EngineCore::TakePlaces() {
  const uint32_t num_running = num_running_candidates_;
  for (uint32_t i = num_running - schedule_.num_preempted; i < num_running; ++i) {
    candidates_[i]->Preempt();
    running_.erase(candidates_[i]);
    waiting_.insert(candidates_[i]);
    timings_.preemptions.Add();
  }
  for (const ScheduledPiece& piece : schedule_.pieces) {
    Sequence& sequence = *candidates_[piece.sequence];
    if (piece.sequence >= num_running) {
      waiting_.erase(&sequence);
      running_.insert(&sequence);
      sequence.Admit();
      timings_.Admitted(sequence.times(), clock_());
    }
    sequence.Reserve(piece.kv_tokens);
  }
}

void EngineCore::BorrowFrames(uint32_t num_rows) {
  if (num_rows > granted_rows_) granted_rows_ = model_.BorrowStepTokens(num_rows);
  if (num_rows <= granted_rows_) return;
  // Not all of it: the same sequences, which have their blocks by now, in fewer rows.
  CollectCandidates(Waiting::kLeaveOut);
  SchedulerState state = this->state();
  state.borrowed_rows = granted_rows_;
  scheduler_.Plan(state, schedule_);
  SF_CHECK(schedule_.num_preempted == 0);
}

void EngineCore::ReturnFrames() {
  if (granted_rows_ == 0) return;
  model_.ReturnStepTokens();
  granted_rows_ = 0;
}

bool EngineCore::Rest() {
  blocks_.Trim();
  ReturnFrames();
  return model_.Maintain();
}

void EngineCore::RunStep() {
  const StepInput input = builder_.input();
  if (input.sequences.empty()) return;
  const absl::Time begin = clock_();
  model_.Forward(input, output_);
  now_ = clock_();
  timings_.step.Observe(now_ - begin);
  ++totals_.steps;
  const StepReader reader(input, output_, experts_);
  for (const StepPiece& piece : builder_.pieces()) Apply(piece, reader);
}

void EngineCore::Apply(const StepPiece& piece, const StepReader& reader) {
  Sequence& sequence = *piece.sequence;
  sequence.AddComputed(piece.num_tokens);
  const ExpertUsage usage = reader.Usage(piece);
  AddUsage(usage, sequence.usage());
  AddUsage(usage, totals_.experts);
  CollectPromptLogprobs(piece, reader);
  if (!piece.samples) return;
  if (!sequence.owner().prompt_done) FinishPrompt(sequence);
  ApplyToken(piece, reader);
}

void EngineCore::CollectPromptLogprobs(const StepPiece& piece, const StepReader& reader) {
  const uint32_t num_prompt_rows = piece.num_logit_rows - (piece.samples ? 1 : 0);
  LiveRequest& live = piece.sequence->owner();
  for (uint32_t i = 0; i < num_prompt_rows; ++i) {
    live.prompt_logprobs.push_back(
        reader.Logprobs(piece.logit_begin + i, *live.prepared->request().output.prompt_logprobs));
  }
}

void EngineCore::FinishPrompt(Sequence& first) {
  LiveRequest& live = first.owner();
  live.prompt_done = true;
  totals_.prompt_tokens += live.prepared->num_prompt_tokens();
  live.sink(PromptDone{.num_prompt_tokens = live.prepared->num_prompt_tokens(),
                       .logprobs = std::move(live.prompt_logprobs),
                       .queued = first.times().queued()});
  for (const std::unique_ptr<Sequence>& sequence : live.sequences) {
    if (sequence != nullptr && sequence.get() != &first) waiting_.insert(sequence.get());
  }
}

void EngineCore::ApplyToken(const StepPiece& piece, const StepReader& reader) {
  Sequence& sequence = *piece.sequence;
  const OutputParams& wanted = sequence.request().request().output;
  const uint32_t logit_row = piece.logit_begin + piece.num_logit_rows - 1;
  const TokenId token = reader.token(logit_row);
  TokensDelta delta;
  delta.index = sequence.index();
  delta.token_ids.push_back(token);
  const std::optional<SequenceEnd> end = sequence.Accept(token, delta.text);
  if (!wanted.text) delta.text.clear();
  if (wanted.logprobs) delta.logprobs.push_back(reader.Logprobs(logit_row, *wanted.logprobs));
  ++totals_.generated_tokens;
  timings_.HasToken(sequence.times(), now_);
  sequence.owner().sink(std::move(delta));
  if (end) Finish(sequence, *end);
}

void EngineCore::Finish(Sequence& sequence, const SequenceEnd& end) {
  LiveRequest& live = sequence.owner();
  const SequenceFinished finished{.index = sequence.index(),
                                  .reason = end.reason,
                                  .matched = end.matched,
                                  .num_prompt_tokens = live.prepared->num_prompt_tokens(),
                                  .num_completion_tokens = sequence.num_generated(),
                                  .experts = sequence.usage()};
  timings_.Ended(sequence.times(), end.reason);
  Leave(sequence);
  live.sequences[finished.index].reset();
  if (--live.num_unfinished > 0) {
    live.sink(finished);
  } else {
    Retire(live)->sink(finished);
  }
}

void EngineCore::Fail(LiveRequest& live, const absl::Status& status) {
  for (const std::unique_ptr<Sequence>& sequence : live.sequences) {
    if (sequence == nullptr) continue;
    timings_.failed.Add();
    Leave(*sequence);
  }
  Retire(live)->sink(RequestFailed{status});
}

void EngineCore::Leave(Sequence& sequence) {
  running_.erase(&sequence);
  waiting_.erase(&sequence);
  sequence.Preempt();
  --num_unfinished_;
}

std::unique_ptr<LiveRequest> EngineCore::Retire(LiveRequest& live) {
  const GenerationRequest& request = live.prepared->request();
  deadlines_.erase({request.deadline, &live});
  id_released_(request.request_id);
  const auto found = live_.find(request.request_id);
  std::unique_ptr<LiveRequest> retired = std::move(found->second);
  live_.erase(found);
  return retired;
}

}  // namespace spearfish::worker
