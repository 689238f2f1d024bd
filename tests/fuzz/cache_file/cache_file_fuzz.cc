// CacheView over bytes from anywhere: every accessor, verification and unpacking of a record.
//
// Most random images end at the header's checksum, so the input is a list of patches to a small
// valid image; a flag in its first byte makes the checksums right again, so that the checks behind
// them are reached too. With another flag the input is the image itself.
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/cache_plan.h"
#include "common/expert_cache/cache_verifier.h"
#include "common/expert_cache/cache_view.h"
#include "common/expert_cache/expert_record.h"
#include "common/expert_cache/huge_pages.h"

namespace spearfish {
namespace {

constexpr uint8_t kRawImage = 1;
constexpr uint8_t kRepairHeaderChecksum = 2;

std::vector<std::byte> ValidImage() {
  const CachePlan plan =
      CachePlan::Create(
          {},
          {.hidden = 64, .intermediate = 64, .num_experts = 2, .moe_layers = {true, false, true}},
          {}, "fuzz")
          .value();
  std::vector<std::byte> image = NewHeaderBytes(plan);
  image.resize(plan.image_bytes());
  CacheImageWriter writer(image);
  for (const LayerId layer : plan.moe_layers()) {
    const auto records = std::span(image).subspan(plan.layer_offset(layer), plan.layer_bytes());
    writer.StoreLayerReady(layer, LayerChecksum(records, plan.layout().record_bytes));
  }
  writer.StoreState(CacheState::kReady);
  return image;
}

// As format.h draws it; only over a table that fits into the image.
void RepairHeaderChecksum(std::vector<std::byte>& image) {
  CacheHeader header;
  if (image.size() < sizeof(header)) return;
  std::memcpy(&header, image.data(), sizeof(header));
  if (header.num_layers > (image.size() - sizeof(header)) / sizeof(LayerEntry)) return;
  std::vector<std::byte> hashed(image.begin(), image.begin() + offsetof(CacheHeader, checksum));
  for (uint32_t i = 0; i < header.num_layers; ++i) {
    const std::byte* entry = image.data() + sizeof(header) + i * sizeof(LayerEntry);
    hashed.insert(hashed.end(), entry, entry + offsetof(LayerEntry, checksum));
  }
  header.checksum = XXH3_64bits(hashed.data(), hashed.size());
  std::memcpy(image.data(), &header, sizeof(header));
}

// Each patch: three bytes of offset, one of value.
void ApplyPatches(std::span<const uint8_t> patches, std::vector<std::byte>& image) {
  for (; patches.size() >= 4; patches = patches.subspan(4)) {
    const size_t offset = patches[0] | size_t{patches[1]} << 8 | size_t{patches[2]} << 16;
    image[offset % image.size()] = std::byte{patches[3]};
  }
}

// As a waiting process sees a segment: a copy of its first bytes, and a length.
void ReadHead(std::span<const std::byte> image) {
  const size_t head_bytes = std::min<size_t>(image.size(), 2 * kCachePageBytes);
  const auto header = CacheHeaderView::OpenHead(image.first(head_bytes), image.size());
  if (header.ok()) (void)header->num_layers_ready();
  for (const uint64_t huge : {uint64_t{0}, 2 * kCachePageBytes, 16 * kCachePageBytes}) {
    (void)CacheHeaderView::Open(TrimToImage(image, huge));
  }
}

void ReadAll(const CacheView& view) {
  (void)view.VerifyAll();
  (void)VerifyCache(view, {.num_threads = 1, .stop = {}}, nullptr);
  (void)view.model_name();
  (void)view.quant();
  for (uint32_t layer = 0; layer < view.num_layers(); ++layer) {
    if (!view.has_layer(LayerId{layer})) continue;
    const ExpertId last{view.num_experts() - 1};
    (void)UnpackExpert(view.Record(LayerId{layer}, last), view.layout());
  }
}

}  // namespace
}  // namespace spearfish

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::byte> valid = spearfish::ValidImage();
  if (size == 0) return 0;
  const uint8_t flags = data[0];
  const std::span<const uint8_t> input(data + 1, size - 1);
  std::vector<std::byte> image = valid;
  if ((flags & spearfish::kRawImage) != 0) {
    const auto bytes = std::as_bytes(input);
    image.assign(bytes.begin(), bytes.end());
  } else {
    spearfish::ApplyPatches(input, image);
  }
  if ((flags & spearfish::kRepairHeaderChecksum) != 0) spearfish::RepairHeaderChecksum(image);
  // Exactly sized and aligned like a mapping, so that ASan sees a read past the end.
  const std::align_val_t alignment{spearfish::kCachePageBytes};
  auto* bytes =
      static_cast<std::byte*>(::operator new(std::max<size_t>(image.size(), 1), alignment));
  std::copy(image.begin(), image.end(), bytes);
  spearfish::ReadHead({bytes, image.size()});
  if (const auto view = spearfish::CacheView::Open({bytes, image.size()}); view.ok())
    spearfish::ReadAll(*view);
  ::operator delete(bytes, alignment);
  return 0;
}
