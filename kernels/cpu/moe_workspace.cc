#include "kernels/cpu/moe_workspace.h"

#include <algorithm>
#include <memory>

namespace spearfish::kernels {
namespace {

constexpr uint64_t kAlignment = 64;

// Hands out consecutive aligned parts of a buffer, or only counts when there is none.
class Divider {
 public:
  explicit Divider(void* base) {
    if (base == nullptr) return;
    const uint64_t address = reinterpret_cast<uintptr_t>(base);
    const uint64_t skip = (kAlignment - address % kAlignment) % kAlignment;
    base_ = static_cast<std::byte*>(base) + skip;
  }

  template <typename T>
  T* Take(uint64_t count) {
    std::byte* part = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(part);
  }

  uint64_t bytes() const { return used_ + kAlignment; }

 private:
  std::byte* base_ = nullptr;
  uint64_t used_ = 0;
};

}  // namespace

MoeWorkspace::MoeWorkspace(const ExpertLayout& layout, uint32_t num_rows, uint32_t k, void* base)
    : hidden_(layout.hidden), groups_(layout.hidden / layout.w13_group) {
  const uint64_t rows = std::min(num_rows, kMoeChunkRows);
  const uint64_t split_rows = std::min(num_rows, kMoeSplitRows);
  Divider divider(base);
  values = divider.Take<int16_t>(rows * hidden_);
  sums = divider.Take<int32_t>(rows * groups_ * 4);
  scales = divider.Take<float>(rows * groups_);
  pairs = divider.Take<uint64_t>(rows * k);
  units = divider.Take<MoeUnit>(rows * k);
  partials = divider.Take<float>(std::max(rows, split_rows * layout.num_slices) * k * hidden_);
  bytes = divider.bytes();
}

QuantizedRow MoeWorkspace::Row(uint32_t row) const {
  return {.values = values + uint64_t{row} * hidden_,
          .sums = sums + uint64_t{row} * groups_ * 4,
          .scales = scales + uint64_t{row} * groups_};
}

}  // namespace spearfish::kernels
