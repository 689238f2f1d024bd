// One .safetensors file, memory-mapped.
//
//   bytes 0..7      header length n, little-endian uint64
//   bytes 8..8+n    JSON: name -> {dtype, shape, data_offsets [begin, end)} relative to byte 8+n
//   bytes 8+n..     tensor data
#ifndef COMMON_SAFETENSORS_SAFETENSORS_FILE_H_
#define COMMON_SAFETENSORS_SAFETENSORS_FILE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mapped_file.h"
#include "common/tensor/host_tensor.h"

namespace spearfish {

using TensorIndex = absl::btree_map<std::string, HostTensor>;

// The parser alone, over bytes from anywhere (the fuzz target's entry). Every tensor's range is
// inside `file`, its size equals shape x dtype, and ranges do not overlap. Headers above 100 MB,
// duplicate names, negative or overflowing dims are InvalidArgument, naming the tensor. Dtypes
// that are not served parse as kOther: only reading such a tensor is an error.
absl::StatusOr<TensorIndex> ParseSafetensors(std::span<const std::byte> file);

// Owns the mapping that its tensors point into. Immutable after Open.
class SafetensorsFile {
 public:
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);

  const TensorIndex& tensors() const { return tensors_; }
  // The raw header JSON with its length prefix, and the file size: parts of a checkpoint's
  // identity.
  std::span<const std::byte> header() const { return header_; }
  size_t file_bytes() const { return file_->bytes().size(); }
  const std::string& path() const { return file_->path(); }

 private:
  SafetensorsFile(std::unique_ptr<MappedFile> file, TensorIndex tensors,
                  std::span<const std::byte> header);

  const std::unique_ptr<MappedFile> file_;
  const TensorIndex tensors_;
  const std::span<const std::byte> header_;
};

}  // namespace spearfish

#endif  // COMMON_SAFETENSORS_SAFETENSORS_FILE_H_
