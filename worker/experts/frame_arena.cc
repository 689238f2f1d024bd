#include "worker/experts/frame_arena.h"

#include <utility>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

uint32_t& CountOf(FrameUse use, FrameFigures& figures) {
  switch (use) {
    case FrameUse::kHardSlot:
      return figures.hard_slots;
    case FrameUse::kSoftSlot:
      return figures.soft_slots;
    case FrameUse::kKv:
      return figures.kv;
    case FrameUse::kWorkspace:
      return figures.workspace;
    case FrameUse::kUnused:
      break;
  }
  return figures.unused;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrameArena>> FrameArena::Create(kernels::Device& device,
                                                               uint64_t frame_bytes,
                                                               uint32_t num_frames) {
  SF_CHECK(frame_bytes > 0);
  SF_ASSIGN_OR_RETURN(auto memory, device.Allocate(frame_bytes * num_frames, "the frame arena"));
  return absl::WrapUnique(new FrameArena(std::move(memory), frame_bytes, num_frames));
}

FrameArena::FrameArena(std::unique_ptr<kernels::Buffer> memory, uint64_t frame_bytes,
                       uint32_t num_frames)
    : memory_(std::move(memory)),
      frame_bytes_(frame_bytes),
      uses_(num_frames, FrameUse::kUnused),
      figures_{.unused = num_frames} {}

void FrameArena::SetUse(FrameId frame, FrameUse use) {
  SF_CHECK(Index(frame) < uses_.size());
  --CountOf(uses_[Index(frame)], figures_);
  ++CountOf(use, figures_);
  uses_[Index(frame)] = use;
}

}  // namespace spearfish::worker
