// Reads the tokens of many feeds at once and how long they took to come.
#ifndef TESTS_BENCH_FEED_CLIENT_H_
#define TESTS_BENCH_FEED_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace spearfish::tests {

struct FeedLoad {
  uint32_t num_streams = 1;
  uint32_t num_tokens = 256;     // of each
  absl::Duration interval = {};  // zero: as fast as they are taken
};

struct FeedResult {
  absl::Duration took = {};
  uint64_t num_tokens = 0;
  uint64_t num_failed = 0;               // streams
  std::vector<float> microseconds = {};  // from a token's leaving to its arrival
};

// Bytes, not stubs: every server is asked in the same way. One thread calls it.
class FeedClient {
 public:
  // Streams go over `num_connections` in turn.
  FeedClient(const std::string& address, uint32_t num_connections);
  ~FeedClient();

  // Runs all to their end.
  FeedResult Run(const FeedLoad& load);

  // Opens all and waits until each has a token, or has failed. Then, at leisure, End cancels them.
  void Open(const FeedLoad& load);
  FeedResult End();

 private:
  class Stream;

  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<std::unique_ptr<Stream>> streams_;
  absl::Time begin_;

  Mutex mutex_;
  Condition changed_;
  uint32_t num_begun_ ABSL_GUARDED_BY(mutex_) = 0;  // had a token, or failed
  uint32_t num_ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spearfish::tests

#endif  // TESTS_BENCH_FEED_CLIENT_H_
