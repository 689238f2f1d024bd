// The warp that streams the weights of units into a block's ring of stages.
#ifndef KERNELS_CUDA_MOE_PRODUCER_CUH_
#define KERNELS_CUDA_MOE_PRODUCER_CUH_

#include "kernels/cuda/copy_ring.cuh"
#include "kernels/cuda/moe_work.cuh"

namespace spearfish::kernels {

template <uint32_t kBits>
class MoeProducer {
 public:
  __device__ MoeProducer(const MoeWork& work, const MoeShared& shared)
      : work_(work),
        shared_(shared),
        lane_(threadIdx.x % kWarpLanes),
        slice_shift_(Log2(work.layout.slice_channels)),
        w13_shift_(Log2(work.layout.w13_group)),
        w2_shift_(Log2(work.layout.w2_group)) {}

  __device__ void StreamUnit(const char* record, uint32_t unit) {
    const ExpertLayout& layout = work_.layout;
    const uint32_t channel = unit * kMoeUnitChannels;
    const uint32_t in_slice = channel & (layout.slice_channels - 1);
    const char* slice = record + (channel >> slice_shift_) * layout.slice_bytes;
    StreamW13(slice, in_slice / kMoeUnitChannels);
    StreamW2(slice, in_slice);
  }

 private:
  using T = MoeTiles<kBits>;

  // Slices and groups are powers of two; divisions would stand before every copy.
  __device__ static uint32_t Log2(uint32_t power) { return 31 - __clz(static_cast<int>(power)); }

  __device__ char* Acquire() {
    WaitPhase(&shared_.empty[at_.stage], at_.parity ^ 1);
    return shared_.ring + at_.stage * kMoeStageBytes;
  }
  __device__ uint64_t* Barrier() { return &shared_.full[at_.stage]; }
  __device__ void Announce(uint32_t bytes) {
    if (lane_ == 0) AnnounceCopies(Barrier(), bytes);
    __syncwarp();
  }
  __device__ void Commit() {
    CommitCopies(Barrier());
    at_.Next(work_.plan.num_stages);
  }

  // Stage: tiles of gate, tiles of up at half of it; scales of gate's groups, of up's at half.
  __device__ void StreamW13(const char* slice, uint32_t strip) {
    const ExpertLayout& layout = work_.layout;
    const uint32_t k_tiles = layout.hidden / 16;
    const uint32_t groups = layout.hidden >> w13_shift_;
    const uint64_t tiles_at = uint64_t{strip} * k_tiles * T::kBytes;
    const uint64_t scales_at = layout.w13_scales_offset + uint64_t{strip} * groups * 128;
    const uint64_t up_scales = uint64_t{layout.slice_channels} * groups * 2;
    for (uint32_t first = 0; first < k_tiles; first += T::kW13Tiles) {
      const uint32_t count = min(T::kW13Tiles, k_tiles - first);
      const uint32_t first_group = first * 16 >> w13_shift_;
      const uint32_t num_groups = (count * 16 + layout.w13_group - 1) >> w13_shift_;
      const uint32_t bytes = count * T::kBytes;
      char* stage = Acquire();
      Announce(2 * bytes + 2 * num_groups * 128);
      const uint64_t skipped = tiles_at + uint64_t{first} * T::kBytes;
      const char* scales = slice + scales_at + first_group * 128;
      IssueParts(4, Barrier(), [&](uint32_t i) -> CopyPart {
        const bool is_up = i % 2 == 1;
        if (i < 2) {
          return {stage + (is_up ? kMoeStageTileBytes / 2 : 0),
                  slice + (is_up ? layout.up_offset : layout.gate_offset) + skipped, bytes};
        }
        return {stage + kMoeStageTileBytes + (is_up ? kMoeStageScaleBytes / 2 : 0),
                scales + (is_up ? up_scales : 0), num_groups * 128};
      });
      Commit();
    }
  }

  // Stage: for each strip of 64 outputs the four tiles of this unit's inputs; the strips' scales.
  __device__ void StreamW2(const char* slice, uint32_t in_slice) {
    const ExpertLayout& layout = work_.layout;
    const uint32_t strips = layout.hidden / 64;
    const uint64_t strip_bytes = uint64_t{layout.slice_channels} / 16 * T::kBytes;
    const uint64_t group_count = layout.slice_channels >> w2_shift_;
    const char* tiles = slice + layout.w2_offset + in_slice / 16 * uint64_t{T::kBytes};
    const char* scales = slice + layout.w2_scales_offset + (in_slice >> w2_shift_) * 128;
    for (uint32_t first = 0; first < strips; first += T::kStrips) {
      const uint32_t count = min(T::kStrips, strips - first);
      char* stage = Acquire();
      Announce(count * (4 * T::kBytes + 128));
      // Where a slice has two units, a strip's tiles of this one are every other 2 (4) KiB.
      IssueParts(count, Barrier(), [&](uint32_t i) -> CopyPart {
        return {stage + i * 4 * T::kBytes, tiles + (first + i) * strip_bytes, 4 * T::kBytes};
      });
      const bool is_run = group_count == 1;
      IssueParts(is_run ? 1 : count, Barrier(), [&](uint32_t i) -> CopyPart {
        return {stage + kMoeStageTileBytes + i * 128, scales + (first + i) * group_count * 128,
                is_run ? count * 128 : 128};
      });
      Commit();
    }
  }

  const MoeWork& work_;
  const MoeShared& shared_;
  const uint32_t lane_;
  const uint32_t slice_shift_;
  const uint32_t w13_shift_;
  const uint32_t w2_shift_;
  RingPosition at_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_PRODUCER_CUH_
