// One expert's weights to its record and back.
#ifndef COMMON_EXPERT_CACHE_EXPERT_RECORD_H_
#define COMMON_EXPERT_CACHE_EXPERT_RECORD_H_

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "common/expert_cache/record_layout.h"
#include "common/safetensors/checkpoint.h"

namespace spearfish {

// Quantises `weights` into `record` (layout.record_bytes; every byte is written, padding as zeros).
// InvalidArgument where a shape is not the layout's, a dtype is not a float's, or a weight is NaN
// or infinite, naming projection and index. Options.bits must be the layout's.
absl::Status PackExpert(const ExpertWeights& weights, const RecordLayout& layout,
                        const QuantOptions& options, std::span<std::byte> record);

// Row-major, as in a checkpoint.
struct DequantizedExpert {
  std::vector<float> gate;  // [intermediate, hidden]
  std::vector<float> up;    // [intermediate, hidden]
  std::vector<float> down;  // [hidden, intermediate]
};

// The values that the record stands for. `record` has layout.record_bytes.
DequantizedExpert UnpackExpert(std::span<const std::byte> record, const RecordLayout& layout);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_EXPERT_RECORD_H_
