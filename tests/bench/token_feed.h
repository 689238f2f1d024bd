// What the servers of the gateway benchmark stream: tokens that carry the time at which they left.
#ifndef TESTS_BENCH_TOKEN_FEED_H_
#define TESTS_BENCH_TOKEN_FEED_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::tests {

// Of CLOCK_MONOTONIC, which all processes of a host share.
inline uint64_t MonotonicNanoseconds() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// A request for `num_tokens` tokens, one every `interval`; zero = as fast as they are taken. The
// servers read the interval from session_id.
inline v1::GenerateStreamRequest FeedRequest(uint32_t num_tokens, absl::Duration interval) {
  v1::GenerateStreamRequest request;
  request.mutable_token_ids()->add_ids(1);
  request.mutable_stopping()->set_max_tokens(num_tokens);
  request.set_session_id(std::to_string(absl::ToInt64Microseconds(interval)));
  return request;
}

// PromptInfo, the tokens, Finish.
class TokenFeed {
 public:
  TokenFeed() = default;
  explicit TokenFeed(const v1::GenerateStreamRequest& request)
      : num_tokens_(request.stopping().max_tokens()),
        interval_(absl::Microseconds(std::stoll(request.session_id()))) {}

  absl::Duration interval() const { return interval_; }
  bool done() const { return next_ == num_tokens_ + 2; }

  void Next(v1::GenerateStreamResponse& message) {
    const uint64_t at = next_++;
    if (at == 0) {
      message.mutable_prompt_info()->set_num_prompt_tokens(1);
    } else if (at <= num_tokens_) {
      v1::Delta& delta = *message.mutable_delta();
      delta.clear_token_ids();
      const uint64_t now = MonotonicNanoseconds();
      delta.add_token_ids(static_cast<uint32_t>(now >> 32));
      delta.add_token_ids(static_cast<uint32_t>(now));
    } else {
      message.mutable_finish()->set_finish_reason(v1::FINISH_REASON_LENGTH);
    }
  }

 private:
  uint64_t num_tokens_ = 0;
  absl::Duration interval_;
  uint64_t next_ = 0;
};

// When the message left; 0 if it is none of a token.
inline uint64_t SentAt(const v1::GenerateStreamResponse& message) {
  if (message.delta().token_ids_size() < 2) return 0;
  return uint64_t{message.delta().token_ids(0)} << 32 | message.delta().token_ids(1);
}

}  // namespace spearfish::tests

#endif  // TESTS_BENCH_TOKEN_FEED_H_
