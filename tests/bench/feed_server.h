// Two servers of the same tokens: a worker that has no model, and gRPC alone.
#ifndef TESTS_BENCH_FEED_SERVER_H_
#define TESTS_BENCH_FEED_SERVER_H_

#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace spearfish::tests {

// Calls back at given times, on one thread of its own.
class Pacer {
 public:
  Pacer();
  ~Pacer();  // drops what has not come
  void At(absl::Time due, std::function<void()> what);

 private:
  struct Later {
    bool operator()(const auto& a, const auto& b) const { return a.first > b.first; }
  };
  using Entry = std::pair<absl::Time, std::function<void()>>;

  void Run();

  Mutex mutex_;
  Condition changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::priority_queue<Entry, std::vector<Entry>, Later> entries_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// Serves until destroyed.
class FeedServer {
 public:
  enum class Kind {
    kWorker,  // spearfish.v1, as far as the gateway asks for it
    kEcho,    // any method, bytes: what gRPC itself costs
  };
  FeedServer(Kind kind, Pacer& pacer);
  ~FeedServer();

  const std::string& address() const { return address_; }

 private:
  struct Services;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace spearfish::tests

#endif  // TESTS_BENCH_FEED_SERVER_H_
