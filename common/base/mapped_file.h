// A file mapped read-only into memory.
#ifndef COMMON_BASE_MAPPED_FILE_H_
#define COMMON_BASE_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace spearfish {

// Owns the mapping. Immutable after Open, so any thread may read it. The file must not be
// truncated while it is mapped (the kernel would answer a read with SIGBUS).
class MappedFile {
 public:
  // NotFound, PermissionDenied or InvalidArgument (not a regular file), naming the path.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size);

  const std::string path_;
  const std::byte* const data_;
  const size_t size_;
};

}  // namespace spearfish

#endif  // COMMON_BASE_MAPPED_FILE_H_
