// What the subcommands of spearfish-pack do. Results go to stdout, a progress bar to stderr.
#ifndef WORKER_PACK_PACK_COMMANDS_H_
#define WORKER_PACK_PACK_COMMANDS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/expert_cache/record_layout.h"

namespace spearfish::worker {

struct PackOptions {
  std::string checkpoint;            // build
  bool segment = false;              // build: into a segment instead of a file
  std::string from;                  // build a segment: a cache file to read instead of quantising
  std::string out;                   // build, dump: a file
  std::string name;                  // verify, remove, dump: a segment's name or a file's path
  std::string shm_dir = "/dev/shm";  // where segments live
  QuantOptions quant;                // build
  uint32_t num_threads = 0;          // build, verify; 0 = all cores
  absl::Duration segment_timeout = absl::InfiniteDuration();  // build: of waiting for another
  uint32_t layer = 0;                                         // dump
  uint32_t expert = 0;                                        // dump
};

absl::Status BuildFile(const PackOptions& options);
absl::Status BuildSegment(const PackOptions& options);
absl::Status List(const PackOptions& options);
absl::Status Verify(const PackOptions& options);
absl::Status Remove(const PackOptions& options);
absl::Status Dump(const PackOptions& options);

}  // namespace spearfish::worker

#endif  // WORKER_PACK_PACK_COMMANDS_H_
