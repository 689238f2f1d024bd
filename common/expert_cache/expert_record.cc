#include "common/expert_cache/expert_record.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/marlin_tile.h"
#include "common/expert_cache/quantizer.h"

namespace spearfish {
namespace {

// Where a run of 64 outputs x some inputs of a projection lies in the record.
struct ColumnPlace {
  uint64_t packed_offset = 0;
  uint64_t scales_offset = 0;  // [num_inputs / group][64]
  uint32_t first_input = 0;
  uint32_t num_inputs = 0;
};

enum class Projection { kGate, kUp, kDown };

const char* NameOf(Projection projection) {
  switch (projection) {
    case Projection::kGate:
      return "gate_proj";
    case Projection::kUp:
      return "up_proj";
    case Projection::kDown:
      return "down_proj";
  }
  return "";
}

// Gate and up are cut into slices along their outputs, so 64 outputs lie in one place; down is cut
// along its inputs, so 64 outputs have one place in every slice.
std::vector<ColumnPlace> PlacesOf(Projection projection, uint32_t first_output,
                                  const RecordLayout& layout) {
  if (projection == Projection::kDown) {
    const TileColumnShape shape{.num_inputs = layout.slice_channels, .bits = layout.bits};
    const uint64_t column = first_output / kTileOutputs;
    const uint64_t scale_bytes = layout.slice_channels / layout.w2_group * kTileOutputs * 2;
    std::vector<ColumnPlace> places;
    places.reserve(layout.num_slices);
    for (uint32_t slice = 0; slice < layout.num_slices; ++slice) {
      const uint64_t start = slice * layout.slice_bytes;
      places.push_back({.packed_offset = start + layout.w2_offset + column * shape.packed_bytes(),
                        .scales_offset = start + layout.w2_scales_offset + column * scale_bytes,
                        .first_input = slice * layout.slice_channels,
                        .num_inputs = layout.slice_channels});
    }
    return places;
  }
  const TileColumnShape shape{.num_inputs = layout.hidden, .bits = layout.bits};
  const uint64_t start = first_output / layout.slice_channels * layout.slice_bytes;
  const uint64_t column = first_output % layout.slice_channels / kTileOutputs;
  const uint64_t columns_a_strip = layout.slice_channels / kTileOutputs;
  const uint64_t scale_bytes = layout.hidden / layout.w13_group * kTileOutputs * 2;
  const bool is_up = projection == Projection::kUp;
  return {{.packed_offset = start + (is_up ? layout.up_offset : layout.gate_offset) +
                            column * shape.packed_bytes(),
           .scales_offset = start + layout.w13_scales_offset +
                            (column + (is_up ? columns_a_strip : 0)) * scale_bytes,
           .first_input = 0,
           .num_inputs = layout.hidden}};
}

struct ProjectionShape {
  uint32_t num_outputs;
  uint32_t num_inputs;
  uint32_t group;
};

ProjectionShape ShapeOf(Projection projection, const RecordLayout& layout) {
  if (projection == Projection::kDown) {
    return {layout.hidden, layout.intermediate, layout.w2_group};
  }
  return {layout.intermediate, layout.hidden, layout.w13_group};
}

// 64 outputs of one projection, quantised. Scales are [64, num_inputs / group], by output.
struct QuantizedColumn {
  explicit QuantizedColumn(const ProjectionShape& shape)
      : codes(size_t{kTileOutputs} * shape.num_inputs), scales(codes.size() / shape.group) {}
  std::vector<uint8_t> codes;
  std::vector<BFloat16> scales;
};

// The scales of one place, between the column's order and the record's.
template <typename Fn>
void ForEachScale(const ColumnPlace& place, const ProjectionShape& shape, Fn fn) {
  const uint32_t groups_a_row = shape.num_inputs / shape.group;
  for (uint32_t g = 0; g < place.num_inputs / shape.group; ++g) {
    for (uint32_t n = 0; n < kTileOutputs; ++n) {
      fn(n * groups_a_row + place.first_input / shape.group + g,
         place.scales_offset + (g * kTileOutputs + ScalePosition(n)) * sizeof(BFloat16));
    }
  }
}

TileColumnShape TileShape(const ColumnPlace& place, const ProjectionShape& shape, uint32_t bits) {
  return {.num_inputs = place.num_inputs, .bits = bits, .stride = shape.num_inputs};
}

absl::Status CheckTensor(const HostTensor& tensor, Projection projection,
                         const ProjectionShape& shape) {
  if (tensor.shape == std::vector<int64_t>{shape.num_outputs, shape.num_inputs}) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("wrong expert shape: ", NameOf(projection), " is [",
                   absl::StrJoin(tensor.shape, ", "), "], the model says [", shape.num_outputs,
                   ", ", shape.num_inputs, "]; check config.json against the weights"));
}

absl::Status NonFiniteError(Projection projection, uint64_t row, uint64_t column, float value) {
  return absl::InvalidArgumentError(absl::StrCat("non-finite weight: ", NameOf(projection), "[",
                                                 row, ", ", column, "] = ", value,
                                                 "; repair the checkpoint"));
}

absl::Status PackProjection(const HostTensor& tensor, Projection projection,
                            const RecordLayout& layout, const QuantOptions& options,
                            std::span<std::byte> record) {
  const ProjectionShape shape = ShapeOf(projection, layout);
  SF_RETURN_IF_ERROR(CheckTensor(tensor, projection, shape));
  std::vector<float> rows(size_t{kTileOutputs} * shape.num_inputs);
  QuantizedColumn column(shape);
  for (uint32_t first = 0; first < shape.num_outputs; first += kTileOutputs) {
    SF_RETURN_IF_ERROR(WidenToFloat(tensor.Slice(first, first + kTileOutputs), rows));
    if (const std::optional<size_t> bad =
            QuantizeGroups(rows, shape.group, options, column.codes, column.scales)) {
      return NonFiniteError(projection, first + *bad / shape.num_inputs, *bad % shape.num_inputs,
                            rows[*bad]);
    }
    for (const ColumnPlace& place : PlacesOf(projection, first, layout)) {
      const TileColumnShape tiles = TileShape(place, shape, layout.bits);
      PackTileColumn(std::span(column.codes).subspan(place.first_input), tiles,
                     record.subspan(place.packed_offset, tiles.packed_bytes()));
      ForEachScale(place, shape, [&](size_t index, uint64_t offset) {
        std::memcpy(record.data() + offset, &column.scales[index], sizeof(BFloat16));
      });
    }
  }
  return absl::OkStatus();
}

std::vector<float> UnpackProjection(std::span<const std::byte> record, Projection projection,
                                    const RecordLayout& layout) {
  const ProjectionShape shape = ShapeOf(projection, layout);
  std::vector<float> out(size_t{shape.num_outputs} * shape.num_inputs);
  QuantizedColumn column(shape);
  for (uint32_t first = 0; first < shape.num_outputs; first += kTileOutputs) {
    for (const ColumnPlace& place : PlacesOf(projection, first, layout)) {
      const TileColumnShape tiles = TileShape(place, shape, layout.bits);
      UnpackTileColumn(record.subspan(place.packed_offset, tiles.packed_bytes()), tiles,
                       std::span(column.codes).subspan(place.first_input));
      ForEachScale(place, shape, [&](size_t index, uint64_t offset) {
        std::memcpy(&column.scales[index], record.data() + offset, sizeof(BFloat16));
      });
    }
    float* rows = out.data() + size_t{first} * shape.num_inputs;
    for (size_t i = 0; i < column.codes.size(); ++i) {
      rows[i] = Dequantize(column.codes[i], layout.bits, column.scales[i / shape.group]);
    }
  }
  return out;
}

// What no projection writes: the gaps between regions and the padding at the end.
void ZeroPadding(const RecordLayout& layout, std::span<std::byte> record) {
  const uint64_t strip_weights = uint64_t{layout.hidden} * layout.slice_channels;
  const uint64_t strip_bytes = strip_weights * layout.bits / 8;
  const uint64_t region_ends[][2] = {
      {layout.gate_offset + strip_bytes, layout.up_offset},
      {layout.up_offset + strip_bytes, layout.w13_scales_offset},
      {layout.w13_scales_offset + 2 * (strip_weights / layout.w13_group) * sizeof(BFloat16),
       layout.w2_offset},
      {layout.w2_offset + strip_bytes, layout.w2_scales_offset},
      {layout.w2_scales_offset + strip_weights / layout.w2_group * sizeof(BFloat16),
       layout.slice_bytes}};
  for (uint32_t slice = 0; slice < layout.num_slices; ++slice) {
    const std::span<std::byte> bytes =
        record.subspan(slice * layout.slice_bytes, layout.slice_bytes);
    for (const auto& [end, next] : region_ends) {
      std::ranges::fill(bytes.subspan(end, next - end), std::byte{0});
    }
  }
  std::ranges::fill(record.subspan(layout.num_slices * layout.slice_bytes), std::byte{0});
}

}  // namespace

absl::Status PackExpert(const ExpertWeights& weights, const RecordLayout& layout,
                        const QuantOptions& options, std::span<std::byte> record) {
  SF_CHECK(record.size() == layout.record_bytes && options.bits == layout.bits);
  ZeroPadding(layout, record);
  SF_RETURN_IF_ERROR(PackProjection(weights.gate, Projection::kGate, layout, options, record));
  SF_RETURN_IF_ERROR(PackProjection(weights.up, Projection::kUp, layout, options, record));
  return PackProjection(weights.down, Projection::kDown, layout, options, record);
}

DequantizedExpert UnpackExpert(std::span<const std::byte> record, const RecordLayout& layout) {
  SF_CHECK(record.size() == layout.record_bytes);
  return {.gate = UnpackProjection(record, Projection::kGate, layout),
          .up = UnpackProjection(record, Projection::kUp, layout),
          .down = UnpackProjection(record, Projection::kDown, layout)};
}

}  // namespace spearfish
