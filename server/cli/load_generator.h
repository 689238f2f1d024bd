// Many streams at once from few threads: gRPC's own.
#ifndef SERVER_CLI_LOAD_GENERATOR_H_
#define SERVER_CLI_LOAD_GENERATOR_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server::cli {

// How one stream went. Times are from the moment when it was due: what a late start costs counts.
struct StreamOutcome {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  absl::Duration first_token = absl::InfiniteDuration();
  absl::Duration whole = absl::ZeroDuration();
  // Between tokens of a sequence, [tokens - sequences]; those of one message share its gap.
  std::vector<absl::Duration> gaps;
  uint32_t prompt_tokens = 0;
  uint32_t generated_tokens = 0;
};

// One thread calls a Run; the streams' reactions run on gRPC's.
class LoadGenerator {
 public:
  // The request of stream `index`; called on any thread, several at once.
  using MakeRequest = std::function<v1::GenerateStreamRequest(uint32_t index)>;

  // Streams go over the channels in turn. A stream that takes longer than `timeout` is given up.
  LoadGenerator(const std::vector<std::shared_ptr<grpc::Channel>>& channels, MakeRequest make,
                absl::Duration timeout);

  // Closed loop: keeps `concurrency` streams going until `num_streams` have ended.
  std::vector<StreamOutcome> RunClosed(uint32_t num_streams, uint32_t concurrency);
  // Open loop: begins a stream at each arrival, whatever becomes of the others.
  std::vector<StreamOutcome> RunOpen(const std::vector<absl::Duration>& arrivals);

 private:
  class Stream;

  void Reset(uint32_t num_streams);
  void Begin(uint32_t index, absl::Time due);
  void Ended(uint32_t index, StreamOutcome outcome);
  std::vector<StreamOutcome> AwaitAll();

  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs_;
  const MakeRequest make_;
  const absl::Duration timeout_;

  Mutex mutex_;
  Condition all_ended_;
  std::vector<StreamOutcome> outcomes_ ABSL_GUARDED_BY(mutex_);
  uint32_t num_begun_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t num_to_follow_ ABSL_GUARDED_BY(mutex_) = 0;  // begun by those that end
  uint32_t num_left_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spearfish::server::cli

#endif  // SERVER_CLI_LOAD_GENERATOR_H_
