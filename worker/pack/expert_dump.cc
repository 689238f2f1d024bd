#include "worker/pack/expert_dump.h"

#include <array>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/expert_cache/expert_record.h"

namespace spearfish::worker {
namespace {

struct DumpedTensor {
  const char* projection;
  uint64_t rows;
  uint64_t columns;
  const std::vector<float>* values;
};

absl::Status CheckIds(const CacheView& cache, LayerId layer, ExpertId expert) {
  if (!cache.has_layer(layer)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no such layer in the cache: ", Index(layer), "; the model has ",
                     cache.num_layers(), " layers, ", cache.num_moe_layers(), " with experts"));
  }
  if (Index(expert) >= cache.num_experts()) {
    return absl::InvalidArgumentError(absl::StrCat("no such expert in the cache: ", Index(expert),
                                                   "; a layer has ", cache.num_experts()));
  }
  return absl::OkStatus();
}

std::string HeaderText(const std::array<DumpedTensor, 3>& tensors, const std::string& prefix) {
  nlohmann::ordered_json header;
  uint64_t offset = 0;
  for (const DumpedTensor& tensor : tensors) {
    const uint64_t end = offset + tensor.values->size() * sizeof(float);
    header[absl::StrCat(prefix, tensor.projection, ".weight")] = {
        {"dtype", "F32"},
        {"shape", {tensor.rows, tensor.columns}},
        {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize(AlignUp(text.size(), 8), ' ');  // the data begin aligned
  return text;
}

}  // namespace

absl::Status DumpExpert(const CacheView& cache, const ExpertDumpArgs& args) {
  if (absl::Status status = CheckIds(cache, args.layer, args.expert); !status.ok()) return status;
  const RecordLayout& layout = cache.layout();
  const DequantizedExpert expert = UnpackExpert(cache.Record(args.layer, args.expert), layout);
  const std::array<DumpedTensor, 3> tensors = {
      {{"gate_proj", layout.intermediate, layout.hidden, &expert.gate},
       {"up_proj", layout.intermediate, layout.hidden, &expert.up},
       {"down_proj", layout.hidden, layout.intermediate, &expert.down}}};
  const std::string header = HeaderText(
      tensors,
      absl::StrCat("model.layers.", Index(args.layer), ".mlp.experts.", Index(args.expert), "."));
  const uint64_t header_bytes = header.size();
  std::ofstream file(args.path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  file << header;
  for (const DumpedTensor& tensor : tensors) {
    file.write(reinterpret_cast<const char*>(tensor.values->data()),
               static_cast<std::streamsize>(tensor.values->size() * sizeof(float)));
  }
  file.close();
  if (file.good()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot write ", args.path, "; check the folder and its free space"));
}

}  // namespace spearfish::worker
