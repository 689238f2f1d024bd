// Read access to one cache image: the bytes of a cache file or of a segment (they are the same).
#ifndef COMMON_EXPERT_CACHE_CACHE_VIEW_H_
#define COMMON_EXPERT_CACHE_CACHE_VIEW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/expert_cache/record_layout.h"

namespace spearfish {

// Does not own the bytes. Copyable; safe from any thread once the image is ready.
class CacheView {
 public:
  // Checks magic, version, header checksum, that every offset lies inside `image`, and that the
  // image is ready. FailedPrecondition (version, not ready), DataLoss (checksum, truncation),
  // InvalidArgument (not a cache), each with the remedy. Does not read the records.
  static absl::StatusOr<CacheView> Open(std::span<const std::byte> image);

  const std::array<uint8_t, 32>& identity() const;
  const RecordLayout& layout() const { return layout_; }
  QuantOptions quant() const;
  uint32_t num_layers() const;  // all layers of the model
  uint32_t num_moe_layers() const;
  uint32_t num_experts() const;  // per MoE layer
  uint64_t num_records() const { return uint64_t{num_moe_layers()} * num_experts(); }
  std::string model_name() const;  // for people; not part of the identity
  std::span<const std::byte> image() const { return image_; }

  bool has_layer(LayerId layer) const;  // false for a dense layer
  // layout().record_bytes bytes, 4 KiB aligned within the image.
  std::span<const std::byte> Record(LayerId layer, ExpertId expert) const;

  // Recomputes one layer's checksum over its records; DataLoss names the layer.
  absl::Status VerifyLayer(LayerId layer) const;
  // The same with the checksum of its records already computed (cache_verifier.h: on threads).
  absl::Status CompareLayer(LayerId layer, uint64_t checksum) const;
  absl::Status VerifyAll() const;

 private:
  CacheView(std::span<const std::byte> image, const RecordLayout& layout)
      : image_(image), layout_(layout) {}

  std::span<const std::byte> image_;
  RecordLayout layout_;
};

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_CACHE_VIEW_H_
