#include "common/expert_cache/cache_view.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/format.h"

namespace spearfish {
namespace {

const CacheHeader& HeaderOf(std::span<const std::byte> image) {
  return *reinterpret_cast<const CacheHeader*>(image.data());
}

const LayerEntry& EntryOf(std::span<const std::byte> image, LayerId layer) {
  SF_CHECK(Index(layer) < HeaderOf(image).num_layers);
  return reinterpret_cast<const LayerEntry*>(image.data() + sizeof(CacheHeader))[Index(layer)];
}

}  // namespace

absl::StatusOr<CacheView> CacheView::Open(std::span<const std::byte> image) {
  SF_ASSIGN_OR_RETURN(const CacheHeaderView header, CacheHeaderView::Open(image));
  const uint32_t ready = header.num_layers_ready();
  if (header.state() != CacheState::kReady) {
    return absl::FailedPreconditionError(absl::StrCat(
        "expert cache not ready: ", header.state() == CacheState::kFailed ? "failed" : "populating",
        ", ", ready, " of ", header.header().num_moe_layers,
        " layers; start the worker or spearfish-pack build again to continue it"));
  }
  if (ready != header.header().num_moe_layers) {
    return absl::DataLossError(absl::StrCat("expert cache damaged: ready with ", ready, " of ",
                                            header.header().num_moe_layers,
                                            " layers; remove it and run spearfish-pack again"));
  }
  return CacheView(image, header.layout());
}

const std::array<uint8_t, 32>& CacheView::identity() const { return HeaderOf(image_).identity; }

QuantOptions CacheView::quant() const {
  return {.bits = HeaderOf(image_).bits, .scale = ScaleMode{HeaderOf(image_).scale_mode}};
}

uint32_t CacheView::num_layers() const { return HeaderOf(image_).num_layers; }
uint32_t CacheView::num_moe_layers() const { return HeaderOf(image_).num_moe_layers; }
uint32_t CacheView::num_experts() const { return HeaderOf(image_).num_experts; }
std::string CacheView::model_name() const { return HeaderOf(image_).model_name.data(); }

bool CacheView::has_layer(LayerId layer) const {
  return Index(layer) < num_layers() && EntryOf(image_, layer).offset != 0;
}

std::span<const std::byte> CacheView::Record(LayerId layer, ExpertId expert) const {
  const LayerEntry& entry = EntryOf(image_, layer);
  SF_CHECK(entry.offset != 0 && Index(expert) < num_experts());
  return image_.subspan(entry.offset + Index(expert) * layout_.record_bytes, layout_.record_bytes);
}

absl::Status CacheView::VerifyLayer(LayerId layer) const {
  const LayerEntry& entry = EntryOf(image_, layer);
  SF_CHECK(entry.offset != 0);
  return CompareLayer(
      layer, LayerChecksum(image_.subspan(entry.offset, entry.bytes), layout_.record_bytes));
}

absl::Status CacheView::CompareLayer(LayerId layer, uint64_t checksum) const {
  if (checksum == EntryOf(image_, layer).checksum) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("expert cache checksum mismatch: layer ", Index(layer),
                                          " of ", model_name(),
                                          "; remove it and run spearfish-pack again"));
}

absl::Status CacheView::VerifyAll() const {
  for (uint32_t layer = 0; layer < num_layers(); ++layer) {
    if (has_layer(LayerId{layer})) SF_RETURN_IF_ERROR(VerifyLayer(LayerId{layer}));
  }
  return absl::OkStatus();
}

}  // namespace spearfish
