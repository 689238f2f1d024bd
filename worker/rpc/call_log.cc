#include "worker/rpc/call_log.h"

#include <limits>
#include <variant>

#include "absl/status/status.h"
#include "common/base/log.h"
#include "common/base/trace_context.h"

namespace spearfish::worker {
namespace {

// The line leaves out what never came.
double Milliseconds(int64_t nanoseconds) {
  return nanoseconds < 0 ? std::numeric_limits<double>::quiet_NaN()
                         : static_cast<double>(nanoseconds) * 1e-6;
}

}  // namespace

CallLog::CallLog(const char* method, const grpc::CallbackServerContext& context)
    : method_(method),
      client_(context.peer()),
      trace_id_(TraceContextOf(context.client_metadata()).trace_id()) {}

void CallLog::Observe(const EngineEvent& event) {
  if (const auto* delta = std::get_if<TokensDelta>(&event)) {
    if (delta->token_ids.empty()) return;
    if (num_generated_tokens_.fetch_add(delta->token_ids.size()) > 0) return;
    first_token_ns_ = absl::ToInt64Nanoseconds(absl::Now() - begin_);
  } else if (const auto* prompt = std::get_if<PromptDone>(&event)) {
    num_prompt_tokens_ = prompt->num_prompt_tokens;
    queued_ns_ = absl::ToInt64Nanoseconds(prompt->queued);
  }
}

void CallLog::Write() const {
  const std::string status = absl::StatusCodeToString(static_cast<absl::StatusCode>(code_.load()));
  LogInfo("request", {{"method", method_},
                      {"request_id", request_id_},
                      {"trace_id", trace_id_},
                      {"client", client_},
                      {"status", status},
                      {"prompt_tokens", int64_t{num_prompt_tokens_}},
                      {"generated_tokens", static_cast<int64_t>(num_generated_tokens_)},
                      {"queue_ms", Milliseconds(queued_ns_)},
                      {"ttft_ms", Milliseconds(first_token_ns_)},
                      {"total_ms", absl::ToDoubleMilliseconds(absl::Now() - begin_)}});
}

}  // namespace spearfish::worker
