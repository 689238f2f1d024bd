#include "tests/bench/hollow_checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bfloat16.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/config/model_config.h"
#include "common/expert_cache/parallel_tasks.h"
#include "common/safetensors/required_tensors.h"
#include "tests/support/test_data.h"

namespace spearfish::bench {
namespace {

constexpr uint64_t kPieceElements = kMiB;
constexpr uint64_t kElementBytes = sizeof(uint16_t);
constexpr uint64_t kHeaderAlignment = 64;

struct PlacedTensor {
  RequiredTensor tensor;
  uint64_t begin;  // in the data
  uint64_t elements;

  bool is_expert() const { return absl::StrContains(tensor.name, ".mlp.experts."); }
};

absl::StatusOr<std::vector<PlacedTensor>> PlaceTensors(const ModelConfig& config) {
  std::vector<PlacedTensor> placed;
  uint64_t end = 0;
  SF_RETURN_IF_ERROR(VisitRequiredTensors(
      config, [](absl::string_view name) { return absl::EndsWith(name, "gate_up_proj"); },
      [&](const RequiredTensor& tensor) {
        uint64_t elements = 1;
        for (const int64_t size : tensor.shape) elements *= static_cast<uint64_t>(size);
        placed.push_back({tensor, end, elements});
        end += elements * kElementBytes;
        return absl::OkStatus();
      }));
  return placed;
}

// With its length in front; padded, so that the data is aligned.
std::string HeaderOf(const std::vector<PlacedTensor>& placed) {
  nlohmann::json header = nlohmann::json::object();
  for (const PlacedTensor& p : placed) {
    header[p.tensor.name] = {{"dtype", "BF16"},
                             {"shape", p.tensor.shape},
                             {"data_offsets", {p.begin, p.begin + p.elements * kElementBytes}}};
  }
  std::string text = header.dump();
  text.resize(AlignUp(text.size() + sizeof(uint64_t), kHeaderAlignment) - sizeof(uint64_t), ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

// SplitMix64's output function: bits of number `index`.
uint64_t RandomBits(uint64_t index) {
  uint64_t z = (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Elements number first, first + 1, ... of all data.
void FillElements(const RequiredTensor& tensor, uint64_t first, std::span<BFloat16> out) {
  const bool is_matrix = tensor.shape.size() > 1;
  // A uniform number of (-1, 1) has variance 1/3.
  const float scale = is_matrix ? std::sqrt(3.0f / static_cast<float>(tensor.shape.back())) : 0.1f;
  const float mean = is_matrix ? 0.0f : 1.0f;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto bits = static_cast<int32_t>(RandomBits(first + i) >> 32);
    out[i] = ToBFloat16(mean + scale * static_cast<float>(bits) * 0x1p-31f);
  }
}

absl::Status WriteAt(int file, const void* bytes, size_t size, uint64_t offset) {
  const auto* next = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t written = pwrite(file, next, size, static_cast<off_t>(offset));
    if (written < 0) return absl::ErrnoToStatus(errno, "cannot write the checkpoint");
    next += written;
    size -= static_cast<size_t>(written);
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status WriteTensor(int file, uint64_t data_begin, const PlacedTensor& placed) {
  const auto pieces =
      static_cast<uint32_t>((placed.elements + kPieceElements - 1) / kPieceElements);
  return RunTasks(pieces, 0, [&](uint32_t piece) {
    const uint64_t first = piece * kPieceElements;
    std::vector<BFloat16> values(std::min(kPieceElements, placed.elements - first));
    FillElements(placed.tensor, placed.begin / kElementBytes + first, values);
    return WriteAt(file, values.data(), values.size() * kElementBytes,
                   data_begin + placed.begin + first * kElementBytes);
  });
}

absl::Status WriteShard(const std::vector<PlacedTensor>& placed, const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  const absl::Cleanup close_file = [file] { close(file); };
  const std::string header = HeaderOf(placed);
  const PlacedTensor& last = placed.back();
  const uint64_t bytes = header.size() + last.begin + last.elements * kElementBytes;
  if (ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("cannot make ", path, " ", bytes, " bytes long"));
  }
  SF_RETURN_IF_ERROR(WriteAt(file, header.data(), header.size(), 0));
  for (const PlacedTensor& p : placed) {
    if (!p.is_expert()) SF_RETURN_IF_ERROR(WriteTensor(file, header.size(), p));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteHollowCheckpoint(const tests::SyntheticOptions& options,
                                   const std::string& folder) {
  const std::string config_text = tests::MakeSyntheticConfig(options).dump(2);
  SF_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_text));
  SF_ASSIGN_OR_RETURN(const std::vector<PlacedTensor> placed, PlaceTensors(config));
  tests::WriteFile(folder + "/config.json", config_text);
  return WriteShard(placed, folder + "/model.safetensors");
}

}  // namespace spearfish::bench
