#include "worker/experts/heatmap_file.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/config/json_document.h"
#include "common/config/json_fields.h"
#include "common/expert_cache/temporary_file.h"

namespace spearfish::worker {
namespace {

using Json = nlohmann::json;

constexpr absl::string_view kFormat = "spearfish-heatmap";
constexpr uint32_t kVersion = 1;
constexpr size_t kIdentityDigits = 16;
constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxExperts = 65536;
// Sums of any number of counts stay finite and whole numbers exact.
constexpr double kMaxCount = 1e15;
constexpr absl::string_view kRemedy = "record one with spearfish-pack heatmap";

std::string IdentityOf(const CacheView& cache) {
  const auto& identity = cache.identity();
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(identity.data()), kIdentityDigits / 2));
}

absl::Status Malformed(absl::string_view what, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("malformed heatmap: ", what, ": ", problem, "; ", kRemedy));
}

bool IsIdentity(absl::string_view text) {
  return text.size() == kIdentityDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return std::isdigit(static_cast<unsigned char>(c)) != 0 || ('a' <= c && c <= 'f');
         });
}

absl::Status ReadCounts(const Json& layers, absl::string_view what, Heatmap& heatmap) {
  if (!layers.is_array() || layers.size() != heatmap.num_moe_layers) {
    return Malformed(what, absl::StrCat("counts is not a list of ", heatmap.num_moe_layers,
                                        " layers as moe_layers says"));
  }
  heatmap.counts.reserve(layers.size() * heatmap.num_experts);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const auto where = absl::StrCat("counts[", layer, "]");
    if (!layers[layer].is_array() || layers[layer].size() != heatmap.num_experts) {
      return Malformed(what, absl::StrCat(where, " is not a list of ", heatmap.num_experts,
                                          " numbers as experts says"));
    }
    for (const Json& count : layers[layer]) {
      const double value = count.is_number() ? count.get<double>() : -1;
      if (!std::isfinite(value) || value < 0 || value > kMaxCount) {
        return Malformed(
            what, absl::StrCat(where, " has a value that is not a number from 0 to ", kMaxCount));
      }
      heatmap.counts.push_back(value);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Heatmap> FromJson(const Json& json, absl::string_view what) {
  if (!json.is_object()) return Malformed(what, "not a JSON object");
  const JsonFields fields(json, what);
  SF_ASSIGN_OR_RETURN(const std::string format, fields.StringOr("format", ""));
  if (format != kFormat) return Malformed(what, absl::StrCat("format is not ", kFormat));
  SF_ASSIGN_OR_RETURN(const uint32_t version, fields.Uint("version", {.min = 1}));
  if (version != kVersion) {
    return absl::InvalidArgumentError(absl::StrCat("heatmap version mismatch: ", what, " has ",
                                                   version, ", this binary reads ", kVersion, "; ",
                                                   kRemedy));
  }
  Heatmap heatmap;
  SF_ASSIGN_OR_RETURN(heatmap.identity, fields.StringOr("identity", ""));
  if (!IsIdentity(heatmap.identity)) {
    return Malformed(what, absl::StrCat("identity is not ", kIdentityDigits, " hex digits"));
  }
  SF_ASSIGN_OR_RETURN(heatmap.model_name, fields.StringOr("model", ""));
  const auto tokens = json.find("tokens");
  if (tokens == json.end() || !tokens->is_number_unsigned()) {
    return Malformed(what, "tokens is not a whole number");
  }
  heatmap.num_tokens = tokens->get<uint64_t>();
  SF_ASSIGN_OR_RETURN(heatmap.num_moe_layers,
                      fields.Uint("moe_layers", {.min = 1, .max = kMaxLayers}));
  SF_ASSIGN_OR_RETURN(heatmap.num_experts, fields.Uint("experts", {.min = 1, .max = kMaxExperts}));
  const auto counts = json.find("counts");
  if (counts == json.end()) return Malformed(what, "counts is missing");
  SF_RETURN_IF_ERROR(ReadCounts(*counts, what, heatmap));
  return heatmap;
}

std::string ToText(const Heatmap& heatmap) {
  std::string text = absl::StrCat(
      "{\n\"format\": ", Json(std::string(kFormat)).dump(), ",\n\"version\": ", kVersion,
      ",\n\"identity\": ", Json(heatmap.identity).dump(), ",\n\"model\": ",
      Json(heatmap.model_name).dump(-1, ' ', true, Json::error_handler_t::replace),
      ",\n\"tokens\": ", heatmap.num_tokens, ",\n\"moe_layers\": ", heatmap.num_moe_layers,
      ",\n\"experts\": ", heatmap.num_experts, ",\n\"counts\": [\n");
  // A line a layer: the file is read by people and compared by diff.
  for (uint32_t layer = 0; layer < heatmap.num_moe_layers; ++layer) {
    const auto first = heatmap.counts.begin() + static_cast<ptrdiff_t>(layer) * heatmap.num_experts;
    Json counts = Json::array();
    for (auto count = first; count != first + heatmap.num_experts; ++count) {
      // Whole numbers, as recorded counts are, without ".0".
      const bool is_whole = *count >= 0 && *count <= kMaxCount && *count == std::floor(*count);
      counts.push_back(is_whole ? Json(static_cast<uint64_t>(*count)) : Json(*count));
    }
    absl::StrAppend(&text, counts.dump(), layer + 1 < heatmap.num_moe_layers ? ",\n" : "\n");
  }
  return text + "]\n}\n";
}

absl::Status WriteAll(int fd, absl::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

Heatmap EmptyHeatmap(const CacheView& cache) {
  return {.identity = IdentityOf(cache),
          .model_name = cache.model_name(),
          .num_tokens = 0,
          .num_moe_layers = cache.num_moe_layers(),
          .num_experts = cache.num_experts(),
          .counts = std::vector<double>(cache.num_records(), 0.0)};
}

absl::StatusOr<Heatmap> ParseHeatmap(absl::string_view text, absl::string_view what) {
  if (text.size() > kMaxHeatmapBytes) {
    return Malformed(
        what, absl::StrCat(text.size(), " bytes, but at most ", kMaxHeatmapBytes, " are expected"));
  }
  SF_ASSIGN_OR_RETURN(const Json json, ParseJson(text, what));
  return FromJson(json, what);
}

absl::StatusOr<Heatmap> ReadHeatmap(const std::string& path) {
  SF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  return ParseHeatmap({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()},
                      path);
}

absl::Status WriteHeatmap(const std::string& path, const Heatmap& heatmap) {
  const std::string text = ToText(heatmap);
  // What Read refuses is not written either.
  SF_RETURN_IF_ERROR(ParseHeatmap(text, path).status());
  SF_ASSIGN_OR_RETURN(const auto file, TemporaryFile::Create(path));
  SF_RETURN_IF_ERROR(WriteAll(file->fd(), text, path));
  return file->Commit();
}

absl::Status CheckHeatmap(const Heatmap& heatmap, const CacheView& cache) {
  if (heatmap.num_moe_layers != cache.num_moe_layers() ||
      heatmap.num_experts != cache.num_experts()) {
    return absl::FailedPreconditionError(
        absl::StrCat("heatmap of another shape: it has ", heatmap.num_moe_layers, " layers of ",
                     heatmap.num_experts, " experts (", heatmap.model_name, "), the checkpoint ",
                     cache.num_moe_layers(), " of ", cache.num_experts(), " (", cache.model_name(),
                     "); ", kRemedy));
  }
  if (heatmap.identity != IdentityOf(cache) && heatmap.model_name != cache.model_name()) {
    return absl::FailedPreconditionError(
        absl::StrCat("heatmap of another checkpoint: it was recorded for ", heatmap.model_name,
                     " (", heatmap.identity, "), the expert cache is of ", cache.model_name(), " (",
                     IdentityOf(cache), "); ", kRemedy));
  }
  return absl::OkStatus();
}

}  // namespace spearfish::worker
