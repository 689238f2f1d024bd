#include "server/cli/load_generator.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/clock.h"

namespace spearfish::server::cli {

// Deletes itself when it is over.
class LoadGenerator::Stream final : public grpc::ClientReadReactor<v1::GenerateStreamResponse> {
 public:
  Stream(LoadGenerator& generator, uint32_t index, absl::Time due)
      : generator_(generator), index_(index), due_(due), request_(generator.make_(index)) {
    last_tokens_.resize(std::max(1U, request_.sampling().num_sequences()), absl::InfinitePast());
  }

  void Start(v1::InferenceService::Stub& stub) {
    context_.set_deadline(absl::ToChronoTime(due_ + generator_.timeout_));
    stub.async()->GenerateStream(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_delta()) Note(response_.delta());
    if (response_.has_prompt_info()) {
      outcome_.prompt_tokens = response_.prompt_info().num_prompt_tokens();
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    outcome_.code = status.error_code();
    outcome_.whole = absl::Now() - due_;
    LoadGenerator& generator = generator_;
    const uint32_t index = index_;
    StreamOutcome outcome = std::move(outcome_);
    // First: it refers to the channel, whose last reference must not be dropped on this thread.
    delete this;
    generator.Ended(index, std::move(outcome));
  }

 private:
  void Note(const v1::Delta& delta) {
    const int num_tokens = delta.token_ids_size();
    if (num_tokens == 0 || delta.index() >= last_tokens_.size()) return;
    const absl::Time now = absl::Now();
    if (outcome_.generated_tokens == 0) outcome_.first_token = now - due_;
    outcome_.generated_tokens += static_cast<uint32_t>(num_tokens);
    absl::Time& last = last_tokens_[delta.index()];
    if (last != absl::InfinitePast()) {
      outcome_.gaps.insert(outcome_.gaps.end(), static_cast<size_t>(num_tokens),
                           (now - last) / num_tokens);
    }
    last = now;
  }

  LoadGenerator& generator_;
  const uint32_t index_;
  const absl::Time due_;
  grpc::ClientContext context_;
  const v1::GenerateStreamRequest request_;
  v1::GenerateStreamResponse response_;
  std::vector<absl::Time> last_tokens_;  // by sequence
  StreamOutcome outcome_;
};

LoadGenerator::LoadGenerator(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                             MakeRequest make, absl::Duration timeout)
    : make_(std::move(make)), timeout_(timeout) {
  for (const auto& channel : channels) stubs_.push_back(v1::InferenceService::NewStub(channel));
}

void LoadGenerator::Reset(uint32_t num_streams) {
  const MutexLock lock(mutex_);
  outcomes_.assign(num_streams, {});
  num_begun_ = 0;
  num_to_follow_ = 0;
  num_left_ = num_streams;
}

void LoadGenerator::Begin(uint32_t index, absl::Time due) {
  (new Stream(*this, index, due))->Start(*stubs_[index % stubs_.size()]);
}

void LoadGenerator::Ended(uint32_t index, StreamOutcome outcome) {
  std::optional<uint32_t> next;
  {
    const MutexLock lock(mutex_);
    outcomes_[index] = std::move(outcome);
    if (num_to_follow_ > 0) {
      --num_to_follow_;
      next = num_begun_++;
    }
  }
  if (next) Begin(*next, absl::Now());
  const MutexLock lock(mutex_);
  if (--num_left_ == 0) all_ended_.SignalAll();
}

std::vector<StreamOutcome> LoadGenerator::AwaitAll() {
  const MutexLock lock(mutex_);
  while (num_left_ > 0) all_ended_.Wait(mutex_);
  return std::move(outcomes_);
}

std::vector<StreamOutcome> LoadGenerator::RunClosed(uint32_t num_streams, uint32_t concurrency) {
  Reset(num_streams);
  const uint32_t at_once = std::min(num_streams, concurrency);
  {
    const MutexLock lock(mutex_);
    num_begun_ = at_once;
    num_to_follow_ = num_streams - at_once;
  }
  for (uint32_t i = 0; i < at_once; ++i) Begin(i, absl::Now());
  return AwaitAll();
}

std::vector<StreamOutcome> LoadGenerator::RunOpen(const std::vector<absl::Duration>& arrivals) {
  Reset(static_cast<uint32_t>(arrivals.size()));
  const absl::Time begin = absl::Now();
  for (uint32_t i = 0; i < arrivals.size(); ++i) {
    absl::SleepFor(begin + arrivals[i] - absl::Now());
    Begin(i, begin + arrivals[i]);
  }
  return AwaitAll();
}

}  // namespace spearfish::server::cli
