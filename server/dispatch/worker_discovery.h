// Who the workers are: addresses from flags, from a file, and by name.
#ifndef SERVER_DISPATCH_WORKER_DISCOVERY_H_
#define SERVER_DISPATCH_WORKER_DISCOVERY_H_

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/dispatch/worker_registry.h"

namespace spearfish::server {

struct DiscoveryOptions {
  std::vector<std::string> addresses;
  std::string file;  // empty: none
  absl::Duration interval = absl::Seconds(5);
};

// The addresses of a workers file: one a line, spaces around it and comments from '#' left out.
// InvalidArgument naming the line for anything else, and when there is none at all: a file that is
// being written must not send every worker away.
absl::StatusOr<std::vector<std::string>> ParseWorkersFile(absl::string_view text);

// Every address that dns:///NAME:PORT stands for now, as "ipv4:A:PORT" and "ipv6:[A]:PORT", sorted.
// Blocks. InvalidArgument for a malformed one, Unavailable when the name has no address now.
absl::StatusOr<std::vector<std::string>> ResolveWorkers(const std::string& dns_address);

// Owns one thread, which looks the file and the names up again and tells the registry, which must
// outlive it. What can't be read or resolved stays as it was.
class WorkerDiscovery {
 public:
  // Reads the file, so that mistakes show at once; names are looked up by the thread. No thread
  // when there is neither.
  static absl::StatusOr<std::unique_ptr<WorkerDiscovery>> Create(WorkerRegistry& registry,
                                                                 DiscoveryOptions options);
  ~WorkerDiscovery();

 private:
  WorkerDiscovery(WorkerRegistry& registry, DiscoveryOptions options)
      : registry_(registry), options_(std::move(options)) {}

  absl::Status ReadFile();
  void Resolve(const std::string& address);
  void SayOnce(const std::string& source, const absl::Status& status);
  std::vector<std::string> Addresses() const;
  void Tell();
  void Run();
  bool Stopping();
  bool SleepOrStop();

  WorkerRegistry& registry_;
  const DiscoveryOptions options_;
  // The thread's, and Create's before it.
  std::vector<std::string> from_file_;
  std::map<std::string, std::vector<std::string>> resolved_;  // by dns:/// address
  std::map<std::string, std::string> said_;                   // by source: its last problem

  Mutex mutex_;
  Condition stop_changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_WORKER_DISCOVERY_H_
