#include "common/expert_cache/cache_image.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/parallel_tasks.h"

namespace spearfish {
namespace {

constexpr char kPackAgain[] = "; remove it and run spearfish-pack again";

absl::Status DataLoss(const char* what) {
  return absl::DataLossError(absl::StrCat("expert cache damaged: ", what, kPackAgain));
}

// XXH3-64 over the header's fixed part and what is fixed of the layer table.
uint64_t HeaderChecksum(const CacheHeader& header, std::span<const LayerEntry> layers) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  SF_CHECK(state != nullptr && XXH3_64bits_reset(state.get()) == XXH_OK);
  XXH3_64bits_update(state.get(), &header, offsetof(CacheHeader, checksum));
  for (const LayerEntry& entry : layers) {
    XXH3_64bits_update(state.get(), &entry, offsetof(LayerEntry, checksum));
  }
  return XXH3_64bits_digest(state.get());
}

bool AllZero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

absl::Status CheckMagicAndVersion(const CacheHeader& header) {
  if (header.magic != kCacheMagic) {
    return absl::InvalidArgumentError(
        "not an expert cache: wrong magic; make one with spearfish-pack build");
  }
  if (header.version != kCacheVersion) {
    return absl::FailedPreconditionError(absl::StrCat("expert cache version mismatch: file ",
                                                      header.version, ", binary ", kCacheVersion,
                                                      kPackAgain));
  }
  return absl::OkStatus();
}

absl::StatusOr<RecordLayout> CheckLayout(const CacheHeader& header) {
  SF_ASSIGN_OR_RETURN(const RecordLayout layout,
                      RecordLayout::Create(header.hidden, header.intermediate, header.bits));
  const ScaleMode scale{header.scale_mode};
  if (scale != ScaleMode::kAbsmax && scale != ScaleMode::kMse)
    return DataLoss("unknown scale mode");
  if (header.slice_channels != layout.slice_channels || header.num_slices != layout.num_slices ||
      header.w13_group != layout.w13_group || header.w2_group != layout.w2_group ||
      header.slice_bytes != layout.slice_bytes || header.record_bytes != layout.record_bytes) {
    return DataLoss("record sizes do not follow from its geometry");
  }
  return layout;
}

// The plan that the header's numbers give, so that all offsets are checked against one computation.
absl::StatusOr<CachePlan> PlanOf(const CacheHeader& header, std::span<const LayerEntry> layers) {
  CacheGeometry geometry{.hidden = header.hidden,
                         .intermediate = header.intermediate,
                         .num_experts = header.num_experts,
                         .moe_layers = {}};
  for (const LayerEntry& entry : layers) geometry.moe_layers.push_back(entry.offset != 0);
  const QuantOptions quant{.bits = header.bits, .scale = ScaleMode{header.scale_mode}};
  return CachePlan::Create(header.identity, geometry, quant, "");
}

absl::Status CheckOffsets(const CacheHeader& header, std::span<const LayerEntry> layers) {
  SF_ASSIGN_OR_RETURN(const CachePlan plan, PlanOf(header, layers));
  bool same = plan.moe_layers().size() == header.num_moe_layers &&
              plan.records_offset() == header.records_offset &&
              plan.image_bytes() == header.image_bytes;
  for (uint32_t i = 0; i < layers.size() && same; ++i) {
    same = layers[i].offset == plan.layer_offset(LayerId{i}) &&
           layers[i].bytes == (layers[i].offset == 0 ? 0 : plan.layer_bytes());
  }
  return same ? absl::OkStatus() : DataLoss("layer table does not follow from its geometry");
}

// What neither the header's checksum nor a layer's covers.
absl::Status CheckMutableFields(const CacheHeader& header, std::span<const LayerEntry> layers) {
  const auto state = static_cast<CacheState>(LoadAcquire(header.state));
  if (state != CacheState::kPopulating && state != CacheState::kReady &&
      state != CacheState::kFailed) {
    return DataLoss("unknown state");
  }
  if (header.zero2 != 0) return DataLoss("header padding is not zero");
  for (const LayerEntry& entry : layers) {
    const uint32_t ready = LoadAcquire(entry.ready);
    const bool known = ready == 0 || (ready == kLayerReady && entry.offset != 0);
    if (!known || entry.zero != 0 || (entry.offset == 0 && entry.checksum != 0)) {
      return DataLoss("unknown layer state");
    }
  }
  return absl::OkStatus();
}

absl::Status Truncated(uint64_t bytes, uint64_t needed) {
  return absl::DataLossError(absl::StrCat("expert cache truncated or padded: ", bytes,
                                          " bytes, its header needs ", needed, kPackAgain));
}

}  // namespace

absl::StatusOr<CacheHeaderView> CacheHeaderView::Open(std::span<const std::byte> image) {
  return OpenHead(image, image.size());
}

absl::StatusOr<CacheHeaderView> CacheHeaderView::OpenHead(std::span<const std::byte> head,
                                                          uint64_t image_bytes) {
  if (head.size() < sizeof(CacheHeader)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an expert cache: ", head.size(),
                     " bytes are less than a header; make one with spearfish-pack build"));
  }
  SF_CHECK(reinterpret_cast<uintptr_t>(head.data()) % alignof(CacheHeader) == 0);
  const auto& header = *reinterpret_cast<const CacheHeader*>(head.data());
  SF_RETURN_IF_ERROR(CheckMagicAndVersion(header));
  const uint64_t table_bytes = uint64_t{header.num_layers} * sizeof(LayerEntry);
  const uint64_t table_end = sizeof(CacheHeader) + table_bytes;
  if (head.size() < table_end) return Truncated(image_bytes, table_end);
  const auto* entries = reinterpret_cast<const LayerEntry*>(head.data() + sizeof(CacheHeader));
  const std::span<const LayerEntry> layers(entries, header.num_layers);
  if (HeaderChecksum(header, layers) != header.checksum) {
    return DataLoss("header checksum does not match");
  }
  if (header.image_bytes != image_bytes) return Truncated(image_bytes, header.image_bytes);
  SF_ASSIGN_OR_RETURN(const RecordLayout layout, CheckLayout(header));
  SF_RETURN_IF_ERROR(CheckOffsets(header, layers));
  SF_RETURN_IF_ERROR(CheckMutableFields(header, layers));
  if (head.size() < header.records_offset) return Truncated(head.size(), header.records_offset);
  if (header.header_bytes != sizeof(CacheHeader) || header.model_name.back() != '\0' ||
      !AllZero(head.subspan(table_end, header.records_offset - table_end))) {
    return DataLoss("padding is not zero");
  }
  return CacheHeaderView(&header, entries, layout);
}

uint32_t CacheHeaderView::num_layers_ready() const {
  return static_cast<uint32_t>(std::ranges::count_if(
      layers(), [](const LayerEntry& entry) { return LoadAcquire(entry.ready) == kLayerReady; }));
}

uint64_t RecordChecksum(std::span<const std::byte> record) {
  return XXH3_64bits(record.data(), record.size());
}

uint64_t CombineRecordChecksums(std::span<const uint64_t> checksums) {
  return XXH3_64bits(checksums.data(), checksums.size_bytes());
}

uint64_t LayerChecksum(std::span<const std::byte> records, uint64_t record_bytes,
                       uint32_t num_threads) {
  SF_CHECK(record_bytes > 0 && records.size() % record_bytes == 0);
  std::vector<uint64_t> checksums(records.size() / record_bytes);
  const absl::Status status =
      RunTasks(static_cast<uint32_t>(checksums.size()), num_threads, [&](uint32_t i) {
        checksums[i] = RecordChecksum(records.subspan(i * record_bytes, record_bytes));
        return absl::OkStatus();
      });
  SF_CHECK(status.ok());
  return CombineRecordChecksums(checksums);
}

std::vector<std::byte> NewHeaderBytes(const CachePlan& plan) {
  CacheHeader header = {};
  header.magic = kCacheMagic;
  header.version = kCacheVersion;
  header.header_bytes = sizeof(CacheHeader);
  header.identity = plan.identity();
  header.bits = plan.quant().bits;
  header.scale_mode = static_cast<uint32_t>(plan.quant().scale);
  header.num_layers = plan.num_layers();
  header.num_moe_layers = static_cast<uint32_t>(plan.moe_layers().size());
  header.num_experts = plan.num_experts();
  header.hidden = plan.layout().hidden;
  header.intermediate = plan.layout().intermediate;
  header.slice_channels = plan.layout().slice_channels;
  header.num_slices = plan.layout().num_slices;
  header.w13_group = plan.layout().w13_group;
  header.w2_group = plan.layout().w2_group;
  header.slice_bytes = plan.layout().slice_bytes;
  header.record_bytes = plan.layout().record_bytes;
  header.records_offset = plan.records_offset();
  header.image_bytes = plan.image_bytes();
  plan.model_name().copy(header.model_name.data(), header.model_name.size() - 1);
  header.state = static_cast<uint32_t>(CacheState::kPopulating);

  std::vector<LayerEntry> layers(plan.num_layers());
  for (const LayerId layer : plan.moe_layers()) {
    layers[Index(layer)].offset = plan.layer_offset(layer);
    layers[Index(layer)].bytes = plan.layer_bytes();
  }
  header.checksum = HeaderChecksum(header, layers);
  std::vector<std::byte> bytes(plan.records_offset());
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::ranges::copy(std::as_bytes(std::span(layers)),
                    bytes.begin() + static_cast<ptrdiff_t>(sizeof(header)));
  return bytes;
}

void CacheImageWriter::StoreLayerReady(LayerId layer, uint64_t checksum) {
  entry(layer).checksum = checksum;
  StoreRelease(entry(layer).ready, kLayerReady);
}

void CacheImageWriter::ClearLayerReady(LayerId layer) { StoreRelease(entry(layer).ready, 0); }

void CacheImageWriter::StoreState(CacheState state) {
  StoreRelease(header().state, static_cast<uint32_t>(state));
}

}  // namespace spearfish
