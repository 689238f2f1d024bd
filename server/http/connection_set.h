// The open connections of a server.
#ifndef SERVER_HTTP_CONNECTION_SET_H_
#define SERVER_HTTP_CONNECTION_SET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/http/http_connection.h"

namespace spearfish::server {

// Thread-safe. Calls no connection with its lock held.
class ConnectionSet {
 public:
  uint64_t NewId() {
    const MutexLock lock(mutex_);
    return next_id_++;
  }
  void Add(uint64_t id, std::shared_ptr<HttpConnection> connection) {
    const MutexLock lock(mutex_);
    connections_.emplace(id, std::move(connection));
  }
  void Remove(uint64_t id) {
    std::shared_ptr<HttpConnection> removed;  // destroyed without the lock
    const MutexLock lock(mutex_);
    const auto found = connections_.find(id);
    removed = std::move(found->second);
    connections_.erase(found);
    if (connections_.empty()) empty_.SignalAll();
  }

  size_t size() const {
    const MutexLock lock(mutex_);
    return connections_.size();
  }
  std::vector<std::shared_ptr<HttpConnection>> All() const {
    const MutexLock lock(mutex_);
    std::vector<std::shared_ptr<HttpConnection>> all;
    all.reserve(connections_.size());
    for (const auto& [id, connection] : connections_) all.push_back(connection);
    return all;
  }

  // False when there are still some at `end`.
  bool AwaitEmpty(absl::Time end) {
    const MutexLock lock(mutex_);
    while (!connections_.empty()) {
      const absl::Duration left = end - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      empty_.WaitFor(mutex_, left);
    }
    return true;
  }

 private:
  mutable Mutex mutex_;
  Condition empty_;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::shared_ptr<HttpConnection>> connections_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_CONNECTION_SET_H_
