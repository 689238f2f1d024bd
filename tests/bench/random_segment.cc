#include "tests/bench/random_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/parallel_tasks.h"
#include "common/segment/memory_guard.h"
#include "tests/reference/moe_reference.h"
#include "worker/experts/kernel_layout.h"

namespace spearfish::bench {
namespace {

absl::StatusOr<std::span<std::byte>> CreateMapped(const std::string& path, uint64_t bytes) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create segment ", path));
  const absl::Cleanup close_file = [file] { close(file); };
  if (ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make segment ", bytes, " bytes long"));
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map the segment");
  return std::span(static_cast<std::byte*>(memory), bytes);
}

// Returns the layer's checksum.
absl::StatusOr<uint64_t> FillLayer(const CachePlan& plan, LayerId layer, uint32_t num_threads,
                                   std::span<std::byte> records) {
  const kernels::ExpertLayout layout = worker::ToKernelLayout(plan.layout());
  std::vector<uint64_t> checksums(plan.num_experts());  // each written by one task
  SF_RETURN_IF_ERROR(RunTasks(plan.num_experts(), num_threads, [&](uint32_t expert) {
    const auto record = records.subspan(expert * layout.record_bytes, layout.record_bytes);
    const uint64_t seed = uint64_t{Index(layer)} * plan.num_experts() + expert + 1;
    reference::FillRandomRecord(layout, seed, record.data());
    checksums[expert] = RecordChecksum(record);
    return absl::OkStatus();
  }));
  return CombineRecordChecksums(checksums);
}

}  // namespace

absl::Status WriteRandomSegment(const Checkpoint& checkpoint, const SegmentOptions& options,
                                MemoryCheck memory_check) {
  SF_ASSIGN_OR_RETURN(const CachePlan plan, CachePlan::FromCheckpoint(checkpoint, options.quant));
  if (memory_check == MemoryCheck::kOn) {
    SF_ASSIGN_OR_RETURN(const MemoryFigures figures, ReadMemoryFigures(options.directory));
    SF_RETURN_IF_ERROR(CheckMemory(plan.image_bytes(), figures, options.memory_margin));
  }
  const std::string path = absl::StrCat(options.directory, "/", SegmentName(plan.identity()));
  SF_ASSIGN_OR_RETURN(const std::span<std::byte> image, CreateMapped(path, plan.image_bytes()));
  const absl::Cleanup unmap = [image] { munmap(image.data(), image.size()); };
  std::ranges::copy(NewHeaderBytes(plan), image.begin());
  CacheImageWriter writer(image);
  for (const LayerId layer : plan.moe_layers()) {
    const auto records = image.subspan(plan.layer_offset(layer), plan.layer_bytes());
    SF_ASSIGN_OR_RETURN(const uint64_t checksum,
                        FillLayer(plan, layer, options.num_threads, records));
    writer.StoreLayerReady(layer, checksum);
  }
  writer.StoreState(CacheState::kReady);
  return absl::OkStatus();
}

}  // namespace spearfish::bench
