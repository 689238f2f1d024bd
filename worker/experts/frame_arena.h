// One allocation of device memory, cut into equal frames of one record.
#ifndef WORKER_EXPERTS_FRAME_ARENA_H_
#define WORKER_EXPERTS_FRAME_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/device.h"
#include "worker/experts/pool_figures.h"

namespace spearfish::worker {

enum class FrameId : uint32_t {};
constexpr uint32_t Index(FrameId frame) { return static_cast<uint32_t>(frame); }

enum class FrameUse : uint8_t { kUnused, kHardSlot, kSoftSlot, kKv, kWorkspace };

// Owns the memory and says what each frame is used for. Nothing is allocated or freed after Create:
// uses change. Used by the engine thread; the device must outlive it.
class FrameArena {
 public:
  // All frames start unused. ResourceExhausted when the device's budget does not hold them.
  static absl::StatusOr<std::unique_ptr<FrameArena>> Create(kernels::Device& device,
                                                            uint64_t frame_bytes,
                                                            uint32_t num_frames);

  uint64_t frame_bytes() const { return frame_bytes_; }
  uint32_t num_frames() const { return static_cast<uint32_t>(uses_.size()); }
  std::byte* base() const { return memory_->as<std::byte>(); }
  // Frames are contiguous: frame f begins f * frame_bytes after base.
  std::byte* address(FrameId frame) const { return base() + Index(frame) * frame_bytes_; }

  FrameUse use(FrameId frame) const { return uses_[Index(frame)]; }
  void SetUse(FrameId frame, FrameUse use);
  FrameFigures figures() const { return figures_; }

 private:
  FrameArena(std::unique_ptr<kernels::Buffer> memory, uint64_t frame_bytes, uint32_t num_frames);

  const std::unique_ptr<kernels::Buffer> memory_;
  const uint64_t frame_bytes_;
  std::vector<FrameUse> uses_;
  FrameFigures figures_;
};

}  // namespace spearfish::worker

#endif  // WORKER_EXPERTS_FRAME_ARENA_H_
