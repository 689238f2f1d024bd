// What happens to one request that generates, or is passed on to a worker, for metrics and the log.
#ifndef SERVER_METRICS_CALL_RECORD_H_
#define SERVER_METRICS_CALL_RECORD_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/metrics/gateway_metrics.h"
#include "server/metrics/method.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// Where calls are counted, and whether each gets a line in the log when it is over.
struct Telemetry {
  GatewayMetrics metrics;
  bool log_requests = false;
};

// Who asked, for the line in the log. Ids and addresses only.
struct CallIdentity {
  std::string request_id;
  std::string client;
  std::string trace_id;
};

// Part of a call's reactor; its reactions use it in turn. The telemetry must outlive it. Moved only
// before the first of them.
class CallRecord {
 public:
  // `num_sequences` of a request that generates.
  CallRecord(Telemetry& telemetry, Method method, uint32_t num_sequences = 0);
  CallRecord(CallRecord&&) = default;
  ~CallRecord();

  // Asked for when logging is on only: most calls should not hold these.
  bool wants_identity() const { return telemetry_->log_requests; }
  void set_identity(CallIdentity identity);

  void Admitted();
  void Rejected(Rejection reason) { telemetry_->metrics.CountRejection(reason); }
  // `resumed`: the client has got something already.
  void AttemptStarted(const std::string& worker, bool resumed);
  void AttemptLost() { telemetry_->metrics.attempts_lost.Add(); }

  // About to be delivered to the client.
  void Note(const v1::GenerateStreamResponse& message);
  void Note(const v1::GenerateResponse& response);

  // Once: what the client is told at the end.
  void Finished(const grpc::Status& status);

 private:
  // What only the line in the log needs.
  struct Line {
    CallIdentity identity;
    std::string worker;
    uint64_t prompt_tokens = 0;
    uint64_t generated_tokens = 0;
    uint32_t attempts = 0;
    uint32_t resumptions = 0;
    absl::Duration queued = absl::ZeroDuration();
    absl::Duration first_token = absl::InfiniteDuration();
  };

  void NoteDelta(const v1::Delta& delta);
  void CountPrompt(uint64_t tokens);
  void CountGenerated(uint64_t tokens);
  void WriteLine(const grpc::Status& status, absl::Duration whole) const;

  // Counts an open stream as ended when the record is.
  struct EndsStream {
    void operator()(Telemetry* telemetry) const { telemetry->metrics.streams_ended.Add(); }
  };

  Telemetry* telemetry_;
  Method method_;
  bool attempted_ = false;
  bool has_token_ = false;
  absl::Time begin_ = absl::Now();
  std::vector<absl::Time> last_tokens_;  // of a stream: by sequence, InfinitePast before the first
  std::unique_ptr<Line> line_;           // null when nobody wants it
  std::unique_ptr<Telemetry, EndsStream> open_stream_;
};

}  // namespace spearfish::server

#endif  // SERVER_METRICS_CALL_RECORD_H_
