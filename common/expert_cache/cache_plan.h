// What a checkpoint's expert cache will be: identity, geometry and where everything lies. Computed
// from headers alone, before a byte is allocated.
#ifndef COMMON_EXPERT_CACHE_CACHE_PLAN_H_
#define COMMON_EXPERT_CACHE_CACHE_PLAN_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/expert_cache/record_layout.h"
#include "common/safetensors/checkpoint.h"

namespace spearfish {

using CacheIdentity = std::array<uint8_t, 32>;

// SHA-256 over config.json, every shard's safetensors header and size, the cache format version and
// the options; each part preceded by its length. Weights themselves are not read: a changed weight
// in a file of the same header and size keeps its identity.
CacheIdentity IdentityOf(const Checkpoint& checkpoint, const QuantOptions& options);

// The name of its segment: "spearfish-" and the first 16 hex digits.
std::string SegmentName(const CacheIdentity& identity);

struct CacheGeometry {
  uint32_t hidden = 0;
  uint32_t intermediate = 0;
  uint32_t num_experts = 0;
  std::vector<bool> moe_layers;  // [num_layers]
};

// Immutable after Create. Invariant: the layers' records follow each other without a gap from
// records_offset to image_bytes.
class CachePlan {
 public:
  // InvalidArgument for options or shapes that records can't have, and for a model without experts.
  static absl::StatusOr<CachePlan> Create(const CacheIdentity& identity,
                                          const CacheGeometry& geometry,
                                          const QuantOptions& options, std::string model_name);
  static absl::StatusOr<CachePlan> FromCheckpoint(const Checkpoint& checkpoint,
                                                  const QuantOptions& options);

  const CacheIdentity& identity() const { return identity_; }
  const RecordLayout& layout() const { return layout_; }
  const QuantOptions& quant() const { return quant_; }
  const std::string& model_name() const { return model_name_; }
  uint32_t num_experts() const { return num_experts_; }
  uint32_t num_layers() const { return static_cast<uint32_t>(layer_offsets_.size()); }
  // In rising order; never empty.
  const std::vector<LayerId>& moe_layers() const { return moe_layers_; }

  uint64_t layer_bytes() const { return num_experts_ * layout_.record_bytes; }
  uint64_t layer_offset(LayerId layer) const { return layer_offsets_[Index(layer)]; }  // 0 = dense
  uint64_t records_offset() const { return layer_offset(moe_layers_.front()); }
  uint64_t image_bytes() const { return records_offset() + moe_layers_.size() * layer_bytes(); }

 private:
  CachePlan() = default;

  CacheIdentity identity_ = {};
  RecordLayout layout_;
  QuantOptions quant_;
  std::string model_name_;
  uint32_t num_experts_ = 0;
  std::vector<LayerId> moe_layers_;
  std::vector<uint64_t> layer_offsets_;  // [num_layers]
};

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_PLAN_H_
