#include "common/expert_cache/cache_file_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/parallel_tasks.h"

namespace spearfish {
namespace {

absl::Status ReadAt(int fd, uint64_t offset, std::span<std::byte> out, const std::string& path) {
  while (!out.empty()) {
    const ssize_t count = pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (count == 0) {
      return absl::DataLossError(absl::StrCat("expert cache truncated while it was read: ", path,
                                              " ends at byte ", offset,
                                              "; run spearfish-pack build again"));
    }
    out = out.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return absl::OkStatus();
}

std::string Describe(absl::string_view model, const QuantOptions& quant) {
  return absl::StrCat(model, " in ", quant.bits, " bits, ",
                      quant.scale == ScaleMode::kMse ? "mse" : "absmax");
}

absl::Status CheckIdentity(const CacheView& cache, const CachePlan& plan, const std::string& path) {
  if (cache.identity() == plan.identity()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cache file is not this checkpoint's: ", path, " holds ",
                   Describe(cache.model_name(), cache.quant()), ", wanted is ",
                   Describe(plan.model_name(), plan.quant()),
                   " (config.json, shards and quantisation must be the same); give another file or "
                   "make one with "
                   "spearfish-pack build CHECKPOINT --out=FILE"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CacheFileReader>> CacheFileReader::Open(const std::string& path,
                                                                       const CachePlan& plan) {
  SF_ASSIGN_OR_RETURN(std::unique_ptr<CacheFile> file, CacheFile::Open(path));
  SF_RETURN_IF_ERROR(CheckIdentity(file->cache(), plan, path));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  return std::unique_ptr<CacheFileReader>(new CacheFileReader(fd, path, std::move(file)));
}

CacheFileReader::~CacheFileReader() { close(fd_); }

absl::StatusOr<uint64_t> CacheFileReader::ReadLayer(LayerId layer, uint32_t num_threads,
                                                    std::span<std::byte> records) const {
  const CacheView& cache = file_->cache();
  const uint64_t bytes = cache.layout().record_bytes;
  SF_CHECK(cache.has_layer(layer) && records.size() == cache.num_experts() * bytes);
  const uint64_t begin =
      static_cast<uint64_t>(cache.Record(layer, ExpertId{0}).data() - cache.image().data());
  std::vector<uint64_t> checksums(cache.num_experts());
  const auto read = [&](uint32_t expert) -> absl::Status {
    const std::span<std::byte> record = records.subspan(expert * bytes, bytes);
    SF_RETURN_IF_ERROR(ReadAt(fd_, begin + expert * bytes, record, path_));
    checksums[expert] = RecordChecksum(record);
    return absl::OkStatus();
  };
  SF_RETURN_IF_ERROR(RunTasks(cache.num_experts(), num_threads, read));
  const uint64_t checksum = CombineRecordChecksums(checksums);
  const absl::Status status = cache.CompareLayer(layer, checksum);
  if (status.ok()) return checksum;
  return absl::Status(status.code(), absl::StrCat(status.message(), " (", path_, ")"));
}

}  // namespace spearfish
