#include "common/safetensors/checkpoint.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/config/json_document.h"
#include "common/safetensors/canonical_name.h"
#include "common/safetensors/required_tensors.h"

namespace spearfish {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

// Shard file name -> the tensors that the index puts there; ordered, so the shards are.
using ShardMap = std::map<std::string, std::vector<std::string>>;

absl::Status WithPath(const absl::Status& status, absl::string_view path) {
  return absl::Status(status.code(), absl::StrCat(status.message(), " (in ", path, ")"));
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file->bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// A file of the folder itself: no separators, no parent, not hidden.
bool IsPlainFileName(absl::string_view name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_of(absl::string_view("/\\\0", 3)) == absl::string_view::npos;
}

absl::StatusOr<ShardMap> ParseShardMap(absl::string_view json_text) {
  SF_ASSIGN_OR_RETURN(const nlohmann::json index, ParseJson(json_text, kIndexFile));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kIndexFile, " has no weight_map object; fetch the file again"));
  }
  ShardMap shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !IsPlainFileName(shard.get_ref<const std::string&>())) {
      return absl::InvalidArgumentError(absl::StrCat("bad shard name: ", kIndexFile, " puts '",
                                                     tensor, "' into ", shard.dump(-1, ' ', true),
                                                     "; expected a file name without a path"));
    }
    shards[shard.get<std::string>()].push_back(tensor);
  }
  return shards;
}

// The shards of a folder; an empty tensor list stands for all that the file holds.
absl::StatusOr<ShardMap> FindShards(const std::string& folder) {
  if (Exists(absl::StrCat(folder, "/", kSingleFile))) return ShardMap{{kSingleFile, {}}};
  const std::string index_path = absl::StrCat(folder, "/", kIndexFile);
  if (!Exists(index_path)) {
    return absl::NotFoundError(absl::StrCat("no weights in ", folder, ": neither ", kSingleFile,
                                            " nor ", kIndexFile,
                                            "; other weight formats are not read"));
  }
  SF_ASSIGN_OR_RETURN(const std::string text, ReadText(index_path));
  absl::StatusOr<ShardMap> shards = ParseShardMap(text);
  if (!shards.ok()) return WithPath(shards.status(), index_path);
  return shards;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::Status CheckTensor(const RequiredTensor& required, const HostTensor& tensor) {
  if (tensor.shape != required.shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("wrong tensor shape: ", required.name, " is ", ShapeText(tensor.shape),
                     ", config.json needs ", ShapeText(required.shape),
                     "; config and weights must be of one checkpoint"));
  }
  if (tensor.dtype != DType::kBF16 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kF32) {
    return absl::InvalidArgumentError(absl::StrCat("wrong tensor dtype: ", required.name, " is ",
                                                   DTypeName(tensor.dtype),
                                                   "; weights must be BF16, F16 or F32"));
  }
  return absl::OkStatus();
}

absl::Status CheckEosTokens(const GenerationConfig& generation, const ModelConfig& config) {
  for (const TokenId id : generation.eos_token_ids) {
    if (id < config.vocab_size) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("eos_token_id out of range: generation_config.json has ", id,
                     ", vocab_size is ", config.vocab_size, "; correct either file"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(const std::string& folder) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->folder_ = folder;
  SF_RETURN_IF_ERROR(checkpoint->ReadConfigs());
  SF_RETURN_IF_ERROR(checkpoint->MapShards());
  SF_RETURN_IF_ERROR(checkpoint->CheckTensors());
  return checkpoint;
}

absl::Status Checkpoint::ReadConfigs() {
  SF_ASSIGN_OR_RETURN(config_text_, ReadText(folder_ + "/config.json"));
  absl::StatusOr<ModelConfig> config = ParseModelConfig(config_text_);
  if (!config.ok()) return WithPath(config.status(), folder_);
  config_ = *std::move(config);

  const std::string path = folder_ + "/generation_config.json";
  if (!Exists(path)) return absl::OkStatus();
  SF_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  absl::StatusOr<GenerationConfig> generation = ParseGenerationConfig(text);
  if (!generation.ok()) return WithPath(generation.status(), folder_);
  generation_config_ = *std::move(generation);
  return CheckEosTokens(generation_config_, config_);
}

absl::Status Checkpoint::MapShards() {
  SF_ASSIGN_OR_RETURN(const ShardMap shard_map, FindShards(folder_));
  for (const auto& [file_name, names] : shard_map) {
    SF_ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> shard,
                        SafetensorsFile::Open(absl::StrCat(folder_, "/", file_name)));
    const TensorIndex& tensors = shard->tensors();
    if (names.empty()) {
      for (const auto& [name, tensor] : tensors) SF_RETURN_IF_ERROR(AddTensor(name, tensor));
    }
    for (const std::string& name : names) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) {
        return absl::NotFoundError(absl::StrCat("tensor missing: ", name, " is not in ",
                                                shard->path(), ", where ", kIndexFile,
                                                " puts it; fetch the checkpoint again"));
      }
      SF_RETURN_IF_ERROR(AddTensor(name, found->second));
    }
    shards_.push_back(std::move(shard));
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::AddTensor(absl::string_view name, const HostTensor& tensor) {
  const std::string canonical = CanonicalTensorName(name);
  if (tensors_.emplace(canonical, tensor).second) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tensor given twice: ", name,
                                                 " and another both stand for ", canonical,
                                                 "; remove one from the checkpoint"));
}

absl::Status Checkpoint::CheckTensors() const {
  const auto has = [this](absl::string_view name) { return Has(name); };
  const auto check = [this](const RequiredTensor& required) -> absl::Status {
    const auto found = tensors_.find(required.name);
    if (found != tensors_.end()) return CheckTensor(required, found->second);
    return absl::NotFoundError(
        absl::StrCat("tensor missing: ", required.name, " ", ShapeText(required.shape), " of ",
                     config_.architecture_name, "; fetch the checkpoint again"));
  };
  const absl::Status status = VisitRequiredTensors(config_, has, check);
  return status.ok() ? status : WithPath(status, folder_);
}

bool Checkpoint::Has(absl::string_view canonical_name) const {
  return tensors_.contains(canonical_name);
}

absl::StatusOr<HostTensor> Checkpoint::Find(absl::string_view canonical_name) const {
  const auto found = tensors_.find(canonical_name);
  if (found != tensors_.end()) return found->second;
  return absl::NotFoundError(
      absl::StrCat("tensor missing: ", canonical_name, " (in ", folder_, ")"));
}

absl::StatusOr<ExpertWeights> Checkpoint::Expert(LayerId layer, ExpertId expert) const {
  if (Index(layer) >= config_.num_layers || Index(expert) >= config_.num_experts ||
      !config_.is_moe(layer)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no such expert: layer ", Index(layer), " of ", config_.num_layers, ", expert ",
        Index(expert), " of ", config_.num_experts, "; the layer must be one with experts"));
  }
  const std::string prefix = ExpertsPrefix(layer);
  ExpertWeights weights;
  if (Has(prefix + "gate_up_proj")) {
    SF_ASSIGN_OR_RETURN(const HostTensor gate_up, Find(prefix + "gate_up_proj"));
    SF_ASSIGN_OR_RETURN(const HostTensor down, Find(prefix + "down_proj"));
    const int64_t channels = config_.moe_intermediate_size;
    const HostTensor both = gate_up[Index(expert)];
    weights.gate = both.Slice(0, channels);
    weights.up = both.Slice(channels, 2 * channels);
    weights.down = down[Index(expert)];
    return weights;
  }
  const std::string own = absl::StrCat(prefix, Index(expert), ".");
  SF_ASSIGN_OR_RETURN(weights.gate, Find(own + "gate_proj.weight"));
  SF_ASSIGN_OR_RETURN(weights.up, Find(own + "up_proj.weight"));
  SF_ASSIGN_OR_RETURN(weights.down, Find(own + "down_proj.weight"));
  return weights;
}

}  // namespace spearfish
