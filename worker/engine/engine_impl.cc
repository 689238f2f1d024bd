#include "worker/engine/engine_impl.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/countdown.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

// Between two looks at copies that run while no step does: little beside the copying of a record,
// much beside the look.
constexpr absl::Duration kCopyingNap = absl::Milliseconds(1);

// Both configurations' ids; a sampled token is never one that the vocabulary doesn't have.
std::vector<TokenId> EosIds(const Model& model) {
  std::vector<TokenId> ids = model.config().eos_token_ids;
  const std::vector<TokenId>& more = model.generation_config().eos_token_ids;
  ids.insert(ids.end(), more.begin(), more.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::erase_if(ids, [&](TokenId id) { return id >= model.config().vocab_size; });
  return ids;
}

RequestLimits LimitsFor(Model& model, uint64_t num_eos_ids) {
  const uint64_t cache_tokens = uint64_t{model.num_reserved_kv_blocks()} * model.kv_block_tokens();
  return {.vocab_size = model.config().vocab_size,
          .max_sequence_tokens =
              static_cast<uint32_t>(std::min<uint64_t>(model.max_model_len(), cache_tokens)),
          .num_eos_ids = static_cast<uint32_t>(num_eos_ids)};
}

}  // namespace

EngineImpl::EngineImpl(const EngineOptions& options, Model& model, const Tokenizer& tokenizer)
    : options_(options),
      eos_ids_(EosIds(model)),
      limits_(LimitsFor(model, eos_ids_.size())),
      core_(options, model, tokenizer, [this](const std::string& id) { ReleaseId(id); }) {
  stats_.kv_blocks_total = model.num_kv_blocks();
  thread_ = std::thread([this] { Run(); });
}

EngineImpl::~EngineImpl() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    draining_ = true;
    inbox_changed_.Signal();
  }
  thread_.join();
}

absl::Status EngineImpl::CheckAdmissible(const GenerationRequest& request) const {
  if (draining_) {
    return absl::UnavailableError(
        "worker is draining: it admits no new requests; send this one to another worker");
  }
  if (live_ids_.contains(request.request_id)) {
    return absl::AlreadyExistsError(absl::StrCat("request_id is in use: ", request.request_id,
                                                 "; choose another or wait for its end"));
  }
  const uint64_t waiting = stats_.num_waiting + uint64_t{num_inbox_sequences_};
  if (waiting + request.num_sequences > options_.max_num_waiting) {
    return absl::ResourceExhaustedError(
        absl::StrCat("queue is full: ", waiting, " sequences wait, ", request.num_sequences,
                     " more asked for, at most ", options_.max_num_waiting, "; try again later"));
  }
  return absl::OkStatus();
}

absl::Status EngineImpl::Submit(GenerationRequest request, EventSink sink) {
  SF_RETURN_IF_ERROR(ValidateRequest(request, limits_));
  auto prepared = std::make_unique<const PreparedRequest>(std::move(request), limits_, eos_ids_);
  const GenerationRequest& kept = prepared->request();
  const absl::Time now = options_.clock();
  const MutexLock lock(mutex_);
  SF_RETURN_IF_ERROR(CheckAdmissible(kept));
  live_ids_.insert(kept.request_id);
  ++num_live_;
  ++num_inbox_requests_;
  num_inbox_sequences_ += kept.num_sequences;
  inbox_.emplace_back(SubmitCommand{std::move(prepared), std::move(sink), now});
  inbox_changed_.Signal();
  return absl::OkStatus();
}

bool EngineImpl::Abort(absl::string_view request_id) {
  const MutexLock lock(mutex_);
  if (!live_ids_.contains(request_id)) return false;
  inbox_.emplace_back(AbortCommand{std::string(request_id)});
  inbox_changed_.Signal();
  return true;
}

void EngineImpl::Drain() {
  const MutexLock lock(mutex_);
  draining_ = true;
}

bool EngineImpl::draining() const {
  const MutexLock lock(mutex_);
  return draining_;
}

bool EngineImpl::WaitIdle(absl::Duration timeout) {
  const Countdown deadline(timeout);
  const MutexLock lock(mutex_);
  while (num_live_ > 0) {
    if (deadline.passed()) return false;
    idle_.WaitFor(mutex_, deadline.left());
  }
  return true;
}

EngineStats EngineImpl::stats() const {
  const absl::Time now = options_.clock();
  const MutexLock lock(mutex_);
  EngineStats stats = stats_;
  stats.num_waiting += num_inbox_sequences_;
  stats.tokens_per_second = rate_.TokensPerSecond(now);
  return stats;
}

void EngineImpl::Run() {
  std::vector<Command> commands;
  // Before the first step, too: the model may be loading experts already.
  absl::Duration nap = absl::ZeroDuration();
  while (TakeInbox(nap, commands) == Inbox::kOpen) {
    Execute(commands);
    core_.ExpireDeadlines(options_.clock());
    if (core_.num_live_requests() == 0) {
      nap = core_.Rest() ? kCopyingNap : absl::InfiniteDuration();
      continue;
    }
    nap = absl::ZeroDuration();
    core_.ScheduleStep();
    {
      const MutexLock lock(mutex_);
      Publish();
    }
    core_.RunStep();
  }
  Execute(commands);
  core_.FailAll(absl::UnavailableError(
      "worker is shutting down: the request did not finish; send it to another worker"));
}

EngineImpl::Inbox EngineImpl::TakeInbox(absl::Duration nap, std::vector<Command>& commands) {
  const absl::Time now = options_.clock();
  commands.clear();
  const MutexLock lock(mutex_);
  const uint64_t generated = core_.totals().generated_tokens;
  rate_.Add(now, generated - stats_.generated_tokens_total);
  Publish();
  while (core_.num_live_requests() == 0 && inbox_.empty() && !stopping_ &&
         nap > absl::ZeroDuration()) {
    if (nap == absl::InfiniteDuration()) {
      inbox_changed_.Wait(mutex_);
    } else {
      inbox_changed_.WaitFor(mutex_, std::exchange(nap, absl::ZeroDuration()));
    }
  }
  commands.swap(inbox_);
  // They count as waiting until the next Publish says how many still do.
  stats_.num_waiting += num_inbox_sequences_;
  num_inbox_sequences_ = 0;
  num_inbox_requests_ = 0;
  return stopping_ ? Inbox::kStopped : Inbox::kOpen;
}

void EngineImpl::Execute(std::vector<Command>& commands) {
  for (Command& command : commands) {
    if (auto* submit = std::get_if<SubmitCommand>(&command)) {
      core_.Add(std::move(submit->prepared), std::move(submit->sink), submit->submitted);
    } else {
      core_.Abort(std::get<AbortCommand>(command).request_id);
    }
  }
}

void EngineImpl::Publish() {
  const EngineTotals& totals = core_.totals();
  stats_.num_running = core_.num_running();
  stats_.num_waiting = core_.num_waiting();
  stats_.kv_blocks_used = core_.blocks().num_used();
  stats_.prompt_tokens_total = totals.prompt_tokens;
  stats_.generated_tokens_total = totals.generated_tokens;
  stats_.requests_total = totals.requests;
  stats_.steps_total = totals.steps;
  stats_.expert_hits = totals.experts.hits;
  stats_.expert_misses = totals.experts.misses;
  stats_.expert_link_bytes = totals.experts.link_bytes;
  stats_.expert_cpu_bytes = totals.experts.cpu_bytes;
  num_live_ = core_.num_live_requests() + num_inbox_requests_;
  if (num_live_ == 0) idle_.SignalAll();
}

void EngineImpl::ReleaseId(const std::string& request_id) {
  const MutexLock lock(mutex_);
  live_ids_.erase(request_id);
}

}  // namespace spearfish::worker
