#include "server/metrics/call_record.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "common/base/log.h"

namespace spearfish::server {

CallRecord::CallRecord(Telemetry& telemetry, Method method, uint32_t num_sequences)
    : telemetry_(&telemetry), method_(method) {
  if (method != Method::kGenerateStream) return;
  last_tokens_.resize(num_sequences, absl::InfinitePast());
  telemetry.metrics.streams_begun.Add();
  open_stream_.reset(&telemetry);
}

CallRecord::~CallRecord() = default;

void CallRecord::set_identity(CallIdentity identity) {
  line_ = std::make_unique<Line>();
  line_->identity = std::move(identity);
}

void CallRecord::Admitted() {
  const absl::Duration queued = absl::Now() - begin_;
  telemetry_->metrics.queue.Observe(queued);
  if (line_ != nullptr) line_->queued = queued;
}

void CallRecord::AttemptStarted(const std::string& worker, bool resumed) {
  GatewayMetrics& metrics = telemetry_->metrics;
  metrics.attempts.Add();
  const bool again = std::exchange(attempted_, true);
  if (again) (resumed ? metrics.resumptions : metrics.retries).Add();
  if (line_ == nullptr) return;
  line_->worker = worker;
  ++line_->attempts;
  if (again && resumed) ++line_->resumptions;
}

void CallRecord::Note(const v1::GenerateStreamResponse& message) {
  if (message.has_delta()) {
    NoteDelta(message.delta());
  } else if (message.has_prompt_info()) {
    CountPrompt(message.prompt_info().num_prompt_tokens());
  } else if (message.has_finish()) {
    telemetry_->metrics.CountFinish(message.finish().finish_reason());
  }
}

void CallRecord::NoteDelta(const v1::Delta& delta) {
  const auto num_tokens = static_cast<uint64_t>(delta.token_ids_size());
  if (num_tokens == 0 || delta.index() >= last_tokens_.size()) return;
  CountGenerated(num_tokens);
  GatewayMetrics& metrics = telemetry_->metrics;
  const absl::Time now = absl::Now();
  if (!std::exchange(has_token_, true)) {
    metrics.first_token.Observe(now - begin_);
    if (line_ != nullptr) line_->first_token = now - begin_;
  }
  absl::Time& last = last_tokens_[delta.index()];
  // Tokens that came in one message share the time since the one before; in the first, none.
  if (last != absl::InfinitePast()) {
    metrics.inter_token.Observe((now - last) / static_cast<int64_t>(num_tokens), num_tokens);
  } else if (num_tokens > 1) {
    metrics.inter_token.Observe(absl::ZeroDuration(), num_tokens - 1);
  }
  last = now;
}

void CallRecord::Note(const v1::GenerateResponse& response) {
  CountPrompt(response.prompt_info().num_prompt_tokens());
  for (const v1::SequenceOutput& sequence : response.sequences()) {
    CountGenerated(static_cast<uint64_t>(sequence.output().token_ids_size()));
    telemetry_->metrics.CountFinish(sequence.finish().finish_reason());
  }
}

void CallRecord::CountPrompt(uint64_t tokens) {
  telemetry_->metrics.prompt_tokens.Add(tokens);
  if (line_ != nullptr) line_->prompt_tokens += tokens;
}

void CallRecord::CountGenerated(uint64_t tokens) {
  telemetry_->metrics.generated_tokens.Add(tokens);
  if (line_ != nullptr) line_->generated_tokens += tokens;
}

void CallRecord::Finished(const grpc::Status& status) {
  const absl::Duration whole = absl::Now() - begin_;
  telemetry_->metrics.CountRequest(method_, status.error_code());
  const bool generates = method_ == Method::kGenerate || method_ == Method::kGenerateStream;
  if (generates && status.ok()) telemetry_->metrics.whole.Observe(whole);
  if (line_ != nullptr) WriteLine(status, whole);
}

void CallRecord::WriteLine(const grpc::Status& status, absl::Duration whole) const {
  const std::string code =
      absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
  const double ttft_ms = line_->first_token == absl::InfiniteDuration()
                             ? std::numeric_limits<double>::quiet_NaN()
                             : absl::ToDoubleMilliseconds(line_->first_token);
  LogInfo("request", {{"method", Name(method_)},
                      {"request_id", line_->identity.request_id},
                      {"trace_id", line_->identity.trace_id},
                      {"client", line_->identity.client},
                      {"worker", line_->worker},
                      {"status", code},
                      {"prompt_tokens", static_cast<int64_t>(line_->prompt_tokens)},
                      {"generated_tokens", static_cast<int64_t>(line_->generated_tokens)},
                      {"queue_ms", absl::ToDoubleMilliseconds(line_->queued)},
                      {"ttft_ms", ttft_ms},
                      {"total_ms", absl::ToDoubleMilliseconds(whole)},
                      {"attempts", int64_t{line_->attempts}},
                      {"resumptions", int64_t{line_->resumptions}}});
}

}  // namespace spearfish::server
