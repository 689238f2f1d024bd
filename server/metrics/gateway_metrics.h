// What the gateway counts while it serves.
#ifndef SERVER_METRICS_GATEWAY_METRICS_H_
#define SERVER_METRICS_GATEWAY_METRICS_H_

#include <grpcpp/support/status.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/metrics/counter.h"
#include "common/metrics/histogram.h"
#include "common/metrics/latency_bounds.h"
#include "server/metrics/method.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// Why a request was refused without a worker having seen it.
enum class Rejection : uint8_t {
  kQueueFull,
  kClientLimit,
  kTooLate,    // could not start before its deadline, or the longest wait
  kDisplaced,  // by one of larger priority, or of a client with less
  kDraining,
  kNoWorker,
  kAborted,  // while it waited
};

inline constexpr std::array<const char*, 7> kRejectionNames = {
    "queue_full", "client_limit", "too_late", "displaced", "draining", "no_worker", "aborted"};

// Any thread: nothing but atomic counts.
struct GatewayMetrics {
  static constexpr size_t kNumCodes = 17;  // of gRPC

  void CountRequest(Method method, grpc::StatusCode code) {
    const auto number = static_cast<size_t>(code);
    requests[static_cast<size_t>(method)][number < kNumCodes ? number : kUnknownCode].Add();
  }
  void CountRejection(Rejection reason) { rejections[static_cast<size_t>(reason)].Add(); }
  void CountFinish(v1::FinishReason reason) {
    const auto number = static_cast<size_t>(reason);
    finish_reasons[number < finish_reasons.size() ? number : 0].Add();
  }

  std::array<std::array<Counter, kNumCodes>, kMethodNames.size()> requests;  // answered
  std::array<Counter, kRejectionNames.size()> rejections;
  std::array<Counter, 4> finish_reasons;  // of sequences, by v1::FinishReason

  Histogram queue{kRequestBounds};           // from arrival to start, of those that started
  Histogram first_token{kFirstTokenBounds};  // from arrival, of streams
  Histogram inter_token{kInterTokenBounds};  // of streams, per sequence
  Histogram whole{kRequestBounds};           // from arrival to an answer that is OK

  Counter prompt_tokens;
  Counter generated_tokens;
  Counter attempts;
  Counter attempts_lost;
  Counter retries;
  Counter resumptions;
  Counter streams_begun;
  Counter streams_ended;

 private:
  static constexpr size_t kUnknownCode = grpc::StatusCode::UNKNOWN;
};

}  // namespace spearfish::server

#endif  // SERVER_METRICS_GATEWAY_METRICS_H_
