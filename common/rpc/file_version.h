// Which version of a file a path leads to now, cheap to ask again and again.
#ifndef COMMON_RPC_FILE_VERSION_H_
#define COMMON_RPC_FILE_VERSION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

// Changes when the file is written, or another one takes its place by a rename or a link (as
// Kubernetes replaces mounted secrets). All zero: there is none.
struct FileVersion {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;

  static FileVersion Of(const std::string& path);
  bool operator==(const FileVersion&) const = default;
};

// A whole small file, and the mode that it had.
struct SmallFile {
  std::string text;
  mode_t mode = 0;
};

// The errors begin with `what` ("--tls-key") and name the path and the remedy: NotFound,
// PermissionDenied, InvalidArgument (not a regular file, empty, or longer than `max_bytes`).
absl::StatusOr<SmallFile> ReadSmallFile(absl::string_view what, const std::string& path,
                                        size_t max_bytes);

}  // namespace spearfish

#endif  // COMMON_RPC_FILE_VERSION_H_
