#include "kernels/cpu/moe.h"

#include <algorithm>

#include "common/base/check.h"
#include "kernels/cpu/moe_slice.h"
#include "kernels/cpu/moe_workspace.h"

namespace spearfish::kernels {
namespace {

// Outputs of a row that one item of the last step adds up.
constexpr uint32_t kCombineOutputs = 512;

// One MoE over at most kMoeChunkRows rows: rows first .. first + num_rows of the call.
class MoeChunk {
 public:
  MoeChunk(const MoeArgs& args, uint32_t first, uint32_t num_rows)
      : args_(args),
        layout_(args.layout),
        first_(first),
        num_rows_(num_rows),
        num_parts_(num_rows <= kMoeSplitRows ? layout_.num_slices : 1),
        workspace_(layout_, num_rows, args.k, args.workspace) {}

  void Run(ThreadPool& pool) {
    pool.ParallelFor(num_rows_, [this](uint32_t row, uint32_t) { Quantize(row); });
    SortPairsByExpert();
    MakeUnits();
    pool.ParallelFor(num_units_ * num_parts_, [this](uint32_t item, uint32_t) { RunItem(item); });
    const uint32_t blocks = (layout_.hidden + kCombineOutputs - 1) / kCombineOutputs;
    pool.ParallelFor(num_rows_ * blocks, [this, blocks](uint32_t item, uint32_t) {
      Combine(item / blocks, item % blocks * kCombineOutputs);
    });
  }

 private:
  static uint32_t ExpertOf(uint64_t pair) { return static_cast<uint32_t>(pair >> 32); }
  static uint32_t IndexOf(uint64_t pair) { return static_cast<uint32_t>(pair); }

  void Quantize(uint32_t row) {
    const float* x = static_cast<const float*>(args_.x) + uint64_t{first_ + row} * layout_.hidden;
    QuantizeMoeRow(x, layout_.hidden, layout_.w13_group, workspace_.Row(row));
  }

  void SortPairsByExpert() {
    num_pairs_ = num_rows_ * args_.k;
    const int32_t* ids = args_.expert_ids + uint64_t{first_} * args_.k;
    for (uint32_t i = 0; i < num_pairs_; ++i) {
      const auto expert = static_cast<uint32_t>(ids[i]);
      SF_CHECK(expert < args_.num_experts);
      workspace_.pairs[i] = uint64_t{expert} << 32 | i;
    }
    std::sort(workspace_.pairs, workspace_.pairs + num_pairs_);
  }

  void MakeUnits() {
    num_units_ = 0;
    for (uint32_t begin = 0; begin < num_pairs_;) {
      const uint32_t expert = ExpertOf(workspace_.pairs[begin]);
      uint32_t end = begin + 1;
      while (end < num_pairs_ && end - begin < kMaxSliceRows &&
             ExpertOf(workspace_.pairs[end]) == expert) {
        ++end;
      }
      workspace_.units[num_units_++] = {.expert = expert, .begin = begin, .count = end - begin};
      begin = end;
    }
  }

  // A unit's slice when slices are separate, else all its slices in order.
  void RunItem(uint32_t item) {
    const MoeUnit& unit = workspace_.units[item / num_parts_];
    const uint32_t part = item % num_parts_;
    QuantizedRow rows[kMaxSliceRows];
    float* outs[kMaxSliceRows];
    for (uint32_t r = 0; r < unit.count; ++r) {
      const uint32_t index = IndexOf(workspace_.pairs[unit.begin + r]);
      rows[r] = workspace_.Row(index / args_.k);
      outs[r] = Partial(index, part);
    }
    const auto* record = reinterpret_cast<const uint8_t*>(args_.address_table[unit.expert]);
    const uint32_t last = num_parts_ == 1 ? layout_.num_slices : part + 1;
    for (uint32_t slice = part; slice < last; ++slice) {
      RunMoeSlice({.layout = &layout_,
                   .slice = record + slice * layout_.slice_bytes,
                   .rows = rows,
                   .outs = outs,
                   .num_rows = unit.count,
                   .output = slice == part ? SliceOutput::kStore : SliceOutput::kAdd});
    }
  }

  void Combine(uint32_t row, uint32_t first_output) {
    CombineMoeRow({.parts = Partial(row * args_.k, 0) + first_output,
                   .weights = args_.expert_weights + uint64_t{first_ + row} * args_.k,
                   .out = static_cast<float*>(args_.out) + uint64_t{first_ + row} * layout_.hidden +
                          first_output,
                   .part_stride = layout_.hidden,
                   .num_parts = num_parts_,
                   .k = args_.k,
                   .num_outputs = std::min(kCombineOutputs, layout_.hidden - first_output)});
  }

  float* Partial(uint32_t index, uint32_t part) const {
    return workspace_.partials + (uint64_t{index} * num_parts_ + part) * layout_.hidden;
  }

  const MoeArgs& args_;
  const ExpertLayout& layout_;
  const uint32_t first_;
  const uint32_t num_rows_;
  const uint32_t num_parts_;
  const MoeWorkspace workspace_;
  uint32_t num_pairs_ = 0;
  uint32_t num_units_ = 0;
};

}  // namespace

uint64_t MoeCpuWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows, uint32_t k) {
  return MoeWorkspace(layout, num_rows, k, nullptr).bytes;
}

void MoeCpu(const MoeArgs& args, ThreadPool& pool) {
  SF_CHECK(args.layout.bits == 4 || args.layout.bits == 8);
  for (uint32_t first = 0; first < args.num_rows; first += kMoeChunkRows) {
    MoeChunk(args, first, std::min(args.num_rows - first, kMoeChunkRows)).Run(pool);
  }
}

}  // namespace spearfish::kernels
