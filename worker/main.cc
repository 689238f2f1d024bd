// spearfish-worker: one checkpoint on one device behind spearfish.v1.
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/safetensors/checkpoint.h"
#include "common/segment/expert_cache_segment.h"
#include "common/tokenizer/tokenizer.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_kernels.h"
#include "worker/engine/engine.h"
#include "worker/model/model_factory.h"
#include "worker/rpc/loaded_model.h"
#include "worker/rpc/rpc_server.h"
#include "worker/rpc/serving_state.h"
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
  std::unique_ptr<ExpertCacheSegment> segment;
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<LoadedModel> loaded;
};

std::string ProgressLine(const SegmentProgress& progress) {
  if (progress.phase == SegmentPhase::kWaiting) {
    return absl::StrFormat("waiting for the worker that quantises: %d of %d layers",
                           progress.layers_ready, progress.num_layers);
  }
  return absl::StrFormat("quantising experts: %d of %d layers", progress.layers_ready,
                         progress.num_layers);
}

absl::StatusOr<std::unique_ptr<ExpertCacheSegment>> OpenSegment(const Checkpoint& checkpoint,
                                                                const WorkerOptions& options) {
  SegmentOptions segment;
  segment.directory = options.shm_dir;
  segment.quant = options.quant;
  segment.num_threads = options.threads;
  absl::Time next_line = absl::InfinitePast();
  return ExpertCacheSegment::AttachOrPopulate(
      checkpoint, segment, [&next_line](const SegmentProgress& progress) {
        const absl::Time now = absl::Now();
        if (progress.phase == SegmentPhase::kReady || now < next_line) return;
        next_line = now + absl::Seconds(1);
        LogInfo(ProgressLine(progress));
      });
}

absl::Status OpenDevice(const WorkerOptions& options, Parts& parts) {
  if (options.device != "cpu") {
    return absl::UnimplementedError(absl::StrCat("device not available: ", options.device,
                                                 "; this build has no CUDA backend, use "
                                                 "--device=cpu"));
  }
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

absl::Status StartEngine(const WorkerOptions& options, Parts& parts) {
  ModelOptions model;
  model.max_model_len = options.max_model_len;
  model.max_step_tokens = options.max_num_batched_tokens;
  model.max_step_sequences = options.max_num_seqs;
  SF_ASSIGN_OR_RETURN(parts.model, CreateModel(*parts.checkpoint, parts.segment->cache(),
                                               *parts.device, *parts.kernels, model));
  EngineOptions engine;
  engine.max_num_seqs = options.max_num_seqs;
  engine.max_num_batched_tokens = options.max_num_batched_tokens;
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
  out.mapping = cache.image();
  return out;
}

absl::StatusOr<Parts> Load(const WorkerOptions& options) {
  Parts parts;
  SF_RETURN_IF_ERROR(OpenDevice(options, parts));
  SF_ASSIGN_OR_RETURN(parts.checkpoint, Checkpoint::Open(options.model));
  SF_ASSIGN_OR_RETURN(parts.tokenizer, Tokenizer::FromFile(options.model + "/tokenizer.json"));
  SF_ASSIGN_OR_RETURN(parts.segment, OpenSegment(*parts.checkpoint, options));
  SF_RETURN_IF_ERROR(StartEngine(options, parts));
  parts.loaded =
      std::make_unique<LoadedModel>(LoadedModel{.engine = *parts.engine,
                                                .tokenizer = *parts.tokenizer,
                                                .served_name = options.ModelName(),
                                                .config = parts.checkpoint->config(),
                                                .defaults = parts.checkpoint->generation_config(),
                                                .max_model_len = parts.model->max_model_len(),
                                                .max_running_sequences = options.max_num_seqs,
                                                .experts = DescribeCache(*parts.segment)});
  return parts;
}

void LogBudgets(const WorkerOptions& options, const Parts& parts) {
  const ModelConfig& config = parts.checkpoint->config();
  const MappedExpertCache& experts = parts.loaded->experts;
  const kernels::DeviceInfo& device = parts.device->info();
  LogInfo(absl::StrFormat(
      "model    %s, %d layers, %d experts (%d a token), vocabulary %d, %d tokens",
      config.architecture_name, config.num_layers, config.num_experts, config.num_experts_per_token,
      config.vocab_size, parts.model->max_model_len()));
  LogInfo(absl::StrFormat("experts  %s, %d records of %s, INT%d, mapped %s, %s",
                          experts.segment_name, experts.num_records,
                          FormatBytes(experts.record_bytes), experts.bits,
                          FormatBytes(experts.mapping.size()),
                          experts.populated_here ? "quantised here" : "found ready"));
  LogInfo(absl::StrFormat("device   %s (%s), %s of %s allocated", device.name, device.description,
                          FormatBytes(parts.device->allocated_bytes()),
                          FormatBytes(device.budget_bytes)));
  LogInfo(absl::StrFormat("KV       %d blocks of %d tokens", parts.model->num_kv_blocks(),
                          parts.model->kv_block_tokens()));
  LogInfo(absl::StrFormat("engine   %d sequences and %d tokens a step", options.max_num_seqs,
                          options.max_num_batched_tokens));
}

// The line that launchers wait for.
void AnnounceReady(const RpcServer& server, const Parts& parts) {
  std::cout << "spearfish-worker ready: " << server.address() << " model "
            << parts.loaded->served_name << " device " << parts.device->info().name << " segment "
            << parts.loaded->experts.segment_name << std::endl;
}

absl::Status Run(const WorkerOptions& options, ShutdownSignals& signals) {
  ServingState state(options.device);
  Parts parts;  // outlives the server, whose calls use it
  RpcServerOptions rpc;
  rpc.listen = options.listen;
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<RpcServer> server, RpcServer::Create(rpc, state));
  LogInfo(absl::StrCat("listening on ", server->address(), ", loading ", options.model));
  SF_ASSIGN_OR_RETURN(parts, Load(options));
  LogBudgets(options, parts);
  signals.BeGraceful();
  state.SetLoaded(*parts.loaded);
  AnnounceReady(*server, parts);

  signals.Wait();
  LogInfo(absl::StrCat("draining, at most ", absl::FormatDuration(options.drain_grace)));
  state.Drain();
  if (!parts.engine->WaitIdle(options.drain_grace)) {
    LogWarning("drain grace is over: cancelling what still runs");
  }
  server->Shutdown(absl::Seconds(1));  // for the last messages to leave
  LogInfo("stopped");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  WorkerOptions options;
  if (const auto exit_status = ParseWorkerOptions(argc, argv, options)) return *exit_status;
  ShutdownSignals signals;
  InitLog(absl::StrCat("worker ", options.device));
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
