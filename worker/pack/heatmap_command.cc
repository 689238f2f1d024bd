#include "worker/pack/heatmap_command.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/bytes.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/bus_error_message.h"
#include "common/segment/expert_cache_segment.h"
#include "common/tokenizer/tokenizer.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_kernels.h"
#include "worker/experts/heatmap_file.h"
#include "worker/model/model_factory.h"
#include "worker/pack/heatmap_routing.h"
#include "worker/pack/progress_bar.h"

namespace spearfish::worker {
namespace {

// Tokens that see one another; a longer text is taken in pieces of this size.
constexpr uint32_t kMaxContext = 4096;

struct Text {
  std::string path;
  std::vector<TokenId> tokens;
};

// The first max_tokens of the texts, in their order.
absl::StatusOr<std::vector<Text>> ReadTexts(const HeatmapOptions& options) {
  SF_ASSIGN_OR_RETURN(const auto tokenizer,
                      Tokenizer::FromFile(options.checkpoint + "/tokenizer.json"));
  uint64_t left = options.max_tokens == 0 ? UINT64_MAX : options.max_tokens;
  std::vector<Text> texts;
  for (const std::string& path : options.texts) {
    SF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
    const absl::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                                  file->bytes().size());
    auto tokens = tokenizer->Encode(bytes, Tokenizer::SpecialTokens::kParse);
    if (!tokens.ok()) {
      return absl::Status(tokens.status().code(),
                          absl::StrCat("text can't be used: ", path, ": ",
                                       tokens.status().message(), "; split or convert it"));
    }
    if (tokens->size() > left) tokens->resize(left);
    left -= tokens->size();
    if (!tokens->empty()) texts.push_back({path, *std::move(tokens)});
  }
  if (texts.empty()) {
    return absl::InvalidArgumentError(
        "no text: the files given by --text have no tokens; give some that do");
  }
  return texts;
}

// Everything that runs the model; members are destroyed in reverse.
struct Runner {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<ExpertCacheSegment> segment;
  std::unique_ptr<kernels::CpuDevice> device;
  std::unique_ptr<kernels::Kernels> kernels;
  std::unique_ptr<Model> model;
};

// Enough for the dense weights, of whatever width, one sequence and a step: the CPU device takes
// address space, and pages only where it writes.
uint64_t DeviceBytes(const std::string& checkpoint) {
  uint64_t bytes = 4 * kGiB;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint, error)) {
    if (entry.path().extension() == ".safetensors") bytes += 2 * entry.file_size(error);
  }
  return bytes;
}

absl::Status OpenSegment(const HeatmapOptions& options, Runner& runner) {
  const SegmentOptions segment{
      .directory = options.shm_dir, .quant = options.quant, .num_threads = options.num_threads};
  ProgressBar bar("layers");
  SF_ASSIGN_OR_RETURN(runner.segment,
                      ExpertCacheSegment::AttachOrPopulate(
                          *runner.checkpoint, segment, [&bar](const SegmentProgress& progress) {
                            const bool waits = progress.phase == SegmentPhase::kWaiting;
                            bar.Show(waits ? "waiting" : "packing", progress.layers_ready,
                                     progress.num_layers);
                          }));
  ExplainBusErrors(absl::StrCat("spearfish-pack: ", runner.segment->path(),
                                " was truncated while it was mapped; remove it with "
                                "spearfish-pack remove and run this again"));
  return absl::OkStatus();
}

absl::StatusOr<Runner> LoadModel(const HeatmapOptions& options) {
  const uint32_t threads =
      options.num_threads == 0 ? std::thread::hardware_concurrency() : options.num_threads;
  Runner runner;
  SF_ASSIGN_OR_RETURN(runner.checkpoint, Checkpoint::Open(options.checkpoint));
  SF_RETURN_IF_ERROR(OpenSegment(options, runner));
  SF_ASSIGN_OR_RETURN(runner.device,
                      kernels::CpuDevice::Create({.budget_bytes = DeviceBytes(options.checkpoint),
                                                  .num_threads = threads}));
  SF_ASSIGN_OR_RETURN(runner.kernels, kernels::CpuKernels::Create(*runner.device, {threads}));
  ModelOptions model;
  model.max_model_len = std::min(kMaxContext, runner.checkpoint->config().max_position_embeddings);
  model.max_step_tokens = options.chunk_tokens;
  model.max_step_sequences = 1;
  model.pool.max_coverage = 0;  // the cache is read in place
  SF_ASSIGN_OR_RETURN(runner.model, CreateModel(*runner.checkpoint, runner.segment->cache(),
                                                *runner.device, *runner.kernels, model));
  return runner;
}

uint64_t CountTokens(const std::vector<Text>& texts) {
  uint64_t total = 0;
  for (const Text& text : texts) total += text.tokens.size();
  return total;
}

}  // namespace

absl::Status RecordHeatmap(const HeatmapOptions& options) {
  SF_ASSIGN_OR_RETURN(const std::vector<Text> texts, ReadTexts(options));
  SF_ASSIGN_OR_RETURN(const Runner runner, LoadModel(options));
  Heatmap heatmap = EmptyHeatmap(runner.segment->cache());
  const uint64_t total = CountTokens(texts);
  const absl::Time start = absl::Now();
  {
    ProgressBar bar("tokens");
    bar.Show("routing", 0, static_cast<uint32_t>(total));
    for (const Text& text : texts) {
      RouteTokens(*runner.model, text.tokens, options.chunk_tokens,
                  [&](std::span<const int32_t> expert_ids, uint32_t num_rows) {
                    CountStep(expert_ids, num_rows, heatmap);
                    bar.Show("routing", static_cast<uint32_t>(heatmap.num_tokens),
                             static_cast<uint32_t>(total));
                  });
    }
  }
  SF_RETURN_IF_ERROR(WriteHeatmap(options.out, heatmap));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  absl::PrintF("%s: %d tokens of %d texts, %d layers of %d experts; %.1f s, %.0f tokens/s\n",
               options.out, heatmap.num_tokens, texts.size(), heatmap.num_moe_layers,
               heatmap.num_experts, seconds, static_cast<double>(heatmap.num_tokens) / seconds);
  return absl::OkStatus();
}

}  // namespace spearfish::worker
