// spearfish-worker: one checkpoint on one device behind spearfish.v1.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/countdown.h"
#include "common/base/file_limit.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/chat/checkpoint_chat_template.h"
#include "common/metrics/metrics_server.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"
#include "common/tokenizer/tokenizer.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_kernels.h"
#ifdef SPEARFISH_HAS_CUDA
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_kernels.h"
#endif
#include "worker/engine/engine.h"
#include "worker/experts/heatmap_file.h"
#include "worker/fitness_watch.h"
#include "worker/model/model_factory.h"
#include "worker/rpc/loaded_model.h"
#include "worker/rpc/rpc_server.h"
#include "worker/rpc/serving_state.h"
#include "worker/rpc/worker_metrics.h"
#include "worker/segment_opening.h"
#include "worker/shutdown_signals.h"
#include "worker/worker_options.h"

namespace spearfish::worker {
namespace {

// Everything that serving needs, in the order in which one part refers to those before it.
struct Parts {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<kernels::Kernels> kernels;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<absl::StatusOr<std::unique_ptr<ChatTemplate>>> chat_template;  // or why not
  std::unique_ptr<ExpertCacheSegment> segment;
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<LoadedModel> loaded;
};

absl::Status OpenCpu(const WorkerOptions& options, Parts& parts) {
  const uint32_t num_threads =
      options.threads == 0 ? std::thread::hardware_concurrency() : options.threads;
  const kernels::CpuKernelsOptions threads{.num_threads = num_threads};
  kernels::CpuDeviceOptions device;
  device.budget_bytes = options.vram_budget_bytes;
  device.num_threads = num_threads;
  SF_ASSIGN_OR_RETURN(parts.device, kernels::CpuDevice::Create(device));
  SF_ASSIGN_OR_RETURN(parts.kernels, kernels::CpuKernels::Create(*parts.device, threads));
  return absl::OkStatus();
}

#ifdef SPEARFISH_HAS_CUDA
absl::Status OpenGpu(const WorkerOptions& options, Parts& parts) {
  kernels::CudaDeviceOptions device;
  device.budget_bytes = options.vram_budget_bytes;
  const bool is_number =
      absl::SimpleAtoi(absl::StripPrefix(options.device, "cuda:"), &device.ordinal);
  SF_CHECK(is_number);  // WorkerOptions::Validate
  SF_ASSIGN_OR_RETURN(parts.device, kernels::CudaDevice::Create(device));
  SF_ASSIGN_OR_RETURN(parts.kernels, kernels::CudaKernels::Create(*parts.device, {}));
  return absl::OkStatus();
}
#else
absl::Status OpenGpu(const WorkerOptions& options, Parts& /*parts*/) {
  return absl::UnimplementedError(absl::StrCat("device not available: ", options.device,
                                               "; this build has no CUDA backend: build again "
                                               "where nvcc 13 is found, or use --device=cpu"));
}
#endif

absl::Status OpenDevice(const WorkerOptions& options, Parts& parts) {
  return options.device == "cpu" ? OpenCpu(options, parts) : OpenGpu(options, parts);
}

// Empty without a heatmap.
absl::StatusOr<std::vector<double>> ReadExpertHeat(const std::string& path,
                                                   const CacheView& cache) {
  if (path.empty()) return std::vector<double>();
  SF_ASSIGN_OR_RETURN(Heatmap heatmap, ReadHeatmap(path));
  SF_RETURN_IF_ERROR(CheckHeatmap(heatmap, cache));
  return std::move(heatmap.counts);
}

absl::Status StartEngine(const WorkerOptions& options, Parts& parts) {
  ModelOptions model;
  model.max_model_len = options.max_model_len;
  model.max_step_tokens = options.max_num_batched_tokens;
  model.max_borrowed_step_tokens =
      std::max(options.max_prefill_tokens, options.max_num_batched_tokens);
  model.max_step_sequences = options.max_num_seqs;
  model.dense = {.bits = options.dense_bits, .num_threads = options.threads};
  model.hard_share = options.hard_share;
  model.pool.max_coverage = options.max_coverage;
  model.pool.promotions_per_layer_token = options.promotions_per_layer_token;
  SF_ASSIGN_OR_RETURN(model.expert_heat, ReadExpertHeat(options.heatmap, parts.segment->cache()));
  SF_ASSIGN_OR_RETURN(parts.model, CreateModel(*parts.checkpoint, parts.segment->cache(),
                                               *parts.device, *parts.kernels, model));
  EngineOptions engine;
  engine.max_num_seqs = options.max_num_seqs;
  engine.max_num_batched_tokens = options.max_num_batched_tokens;
  engine.miss_reader = options.device == "cpu" ? MissReader::kCpu : MissReader::kLink;
  SF_ASSIGN_OR_RETURN(parts.engine, Engine::Create(engine, *parts.model, *parts.tokenizer));
  return absl::OkStatus();
}

MappedExpertCache DescribeCache(const ExpertCacheSegment& segment) {
  const CacheView& cache = segment.cache();
  const auto& identity = cache.identity();
  MappedExpertCache out;
  out.segment_name = segment.name();
  out.identity = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(identity.data()), identity.size()));
  out.num_records = cache.num_records();
  out.record_bytes = cache.layout().record_bytes;
  out.bits = cache.quant().bits;
  out.populated_here = segment.populated_here();
  out.mapping = segment.mapping();
  return out;
}

absl::StatusOr<Parts> Load(const WorkerOptions& options) {
  Parts parts;
  SF_RETURN_IF_ERROR(OpenDevice(options, parts));
  SF_ASSIGN_OR_RETURN(parts.checkpoint, Checkpoint::Open(options.model));
  SF_ASSIGN_OR_RETURN(parts.tokenizer, Tokenizer::FromFile(options.model + "/tokenizer.json"));
  parts.chat_template = std::make_unique<absl::StatusOr<std::unique_ptr<ChatTemplate>>>(
      ReadChatTemplate(options.model));
  if (!parts.chat_template->ok()) {
    LogWarning(
        absl::StrCat("chat prompts will be refused: ", parts.chat_template->status().message()));
  }
  SF_ASSIGN_OR_RETURN(parts.segment, OpenSegment(*parts.checkpoint, options));
  SF_RETURN_IF_ERROR(StartEngine(options, parts));
  parts.loaded = std::make_unique<LoadedModel>(
      LoadedModel{.engine = *parts.engine,
                  .tokenizer = *parts.tokenizer,
                  .served_name = options.ModelName(),
                  .config = parts.checkpoint->config(),
                  .defaults = parts.checkpoint->generation_config(),
                  .max_model_len = parts.model->max_model_len(),
                  .max_running_sequences = options.max_num_seqs,
                  .kv_block_tokens = parts.model->kv_block_tokens(),
                  .experts = DescribeCache(*parts.segment),
                  .pool_figures = [&model = *parts.model] { return model.pool_figures(); },
                  .chat_template = parts.chat_template.get()});
  return parts;
}

// What every frame of the arena is for.
void LogFrames(const Parts& parts) {
  const PoolFigures pool = parts.model->pool_figures();
  const auto line = [&pool](absl::string_view use, uint32_t frames, const std::string& what) {
    LogInfo(absl::StrFormat("  %-11s %7d frames %11s  %s", use, frames,
                            FormatBytes(frames * pool.frame_bytes), what));
  };
  Model& model = *parts.model;
  const uint32_t kv_for_good = model.num_reserved_kv_blocks();
  LogInfo(absl::StrFormat(
      "arena    frames of %s, the size of an expert; %d of %d experts in slots, "
      "coverage %.1f %%",
      FormatBytes(pool.frame_bytes), pool.num_resident, pool.num_records, 100 * pool.coverage()));
  line("hard slots", pool.frames.hard_slots, "experts");
  line("soft slots", pool.frames.soft_slots,
       absl::StrFormat("experts; KV may take them for %d more blocks, long prompts for their "
                       "workspace",
                       model.num_kv_blocks() - kv_for_good));
  line("KV", pool.frames.kv,
       absl::StrFormat("%d blocks of %d tokens", kv_for_good, model.kv_block_tokens()));
  line("workspace", pool.frames.workspace,
       absl::StrFormat("steps of %d tokens, of up to %d with borrowed frames",
                       model.max_step_tokens(), model.max_borrowed_step_tokens()));
}

void LogBudgets(const WorkerOptions& options, const Parts& parts) {
  const ModelConfig& config = parts.checkpoint->config();
  const MappedExpertCache& experts = parts.loaded->experts;
  const kernels::DeviceInfo& device = parts.device->info();
  LogInfo(absl::StrFormat(
      "model    %s, %d layers, %d experts (%d a token), vocabulary %d, %d tokens",
      config.architecture_name, config.num_layers, config.num_experts, config.num_experts_per_token,
      config.vocab_size, parts.model->max_model_len()));
  LogInfo(absl::StrFormat(
      "dense    %s, %s on the device",
      options.dense_bits == 8 ? "INT8 with a scale a channel" : "weights as in the checkpoint",
      FormatBytes(parts.model->dense_weight_bytes())));
  LogInfo(absl::StrFormat("experts  %s, %d records of %s, INT%d, mapped %s, %s",
                          experts.segment_name, experts.num_records,
                          FormatBytes(experts.record_bytes), experts.bits,
                          FormatBytes(experts.mapping.size()),
                          experts.populated_here ? "populated here" : "found ready"));
  LogInfo(absl::StrFormat("device   %s (%s), %s of %s allocated", device.name, device.description,
                          FormatBytes(parts.device->allocated_bytes()),
                          FormatBytes(device.budget_bytes)));
  LogFrames(parts);
  LogInfo(absl::StrFormat("engine   %d sequences and %d tokens a step", options.max_num_seqs,
                          options.max_num_batched_tokens));
}

// The line that launchers wait for.
void AnnounceReady(const RpcServer& server, const Parts& parts) {
  std::cout << "spearfish-worker ready: " << server.address() << " model "
            << parts.loaded->served_name << " device " << parts.device->info().name << " segment "
            << parts.loaded->experts.segment_name << std::endl;
}

// Null when nobody asked for them.
absl::StatusOr<std::unique_ptr<MetricsServer>> ServeMetrics(const WorkerOptions& options,
                                                            const ServingState& state) {
  const ObservationOptions& wanted = options.observation;
  if (!wanted.metrics_port) return nullptr;
  const MetricsCompat compat = wanted.vllm_metrics ? MetricsCompat::kVllm : MetricsCompat::kNone;
  SF_ASSIGN_OR_RETURN(
      std::unique_ptr<MetricsServer> server,
      MetricsServer::Start(absl::StrCat("0.0.0.0:", *wanted.metrics_port),
                           [&state, compat] { return WorkerMetrics(state, compat); }));
  LogInfo(absl::StrCat("metrics on port ", server->port()));
  return server;
}

absl::Status Run(const WorkerOptions& options, ShutdownSignals& signals) {
  ServingState state(options.device);
  Parts parts;  // outlives the server, whose calls use it
  RpcServerOptions rpc;
  rpc.listen = options.listen;
  rpc.listener = options.listener;
  rpc.log_requests = options.observation.log_requests;
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<RpcServer> server, RpcServer::Create(rpc, state));
  LogInfo(absl::StrCat("listening on ", server->address(), ", loading ", options.model));
  SF_ASSIGN_OR_RETURN(parts, Load(options));
  LogBudgets(options, parts);
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<MetricsServer> metrics, ServeMetrics(options, state));
  signals.BeGraceful();
  const FitnessWatch fitness(options, *parts.segment, state);
  state.SetLoaded(*parts.loaded);
  AnnounceReady(*server, parts);

  signals.Wait();
  LogInfo(absl::StrCat("draining, at most ", absl::FormatDuration(options.drain_grace)));
  const Countdown end(options.drain_grace);
  state.Drain();
  if (!parts.engine->WaitIdle(end.left())) {
    LogWarning("drain grace is over: cancelling what still runs");
    server->Shutdown(absl::Seconds(1));  // for the last messages of what has ended to leave
  } else {
    server->Shutdown(std::max(end.left(), RpcServer::kGoodbye));  // clients may be slow to read
  }
  LogInfo("stopped");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  WorkerOptions options;
  if (const auto exit_status = ParseWorkerOptions(argc, argv, options)) return *exit_status;
  ShutdownSignals signals;
  InitLog(absl::StrCat("worker ", options.device), LogLevel::kInfo, options.observation.log_format);
  RaiseFileLimit();
  std::signal(SIGPIPE, SIG_IGN);  // a launcher that went away is no reason to die
  if (const absl::Status status = Run(options, signals); !status.ok()) {
    LogError(status.ToString());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace spearfish::worker

int main(int argc, char** argv) { return spearfish::worker::Main(argc, argv); }
