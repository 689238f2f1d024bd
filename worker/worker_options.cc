#include "worker/worker_options.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/version.h"
#include "common/rpc/listener_flags.h"
#include "common/segment/memory_floor.h"

namespace spearfish::worker {
namespace {

constexpr int kUsageError = 2;

absl::Status Invalid(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("invalid ", flag, ": ", what));
}

bool IsDevice(absl::string_view name) {
  uint32_t number = 0;
  return name == "cpu" || (absl::ConsumePrefix(&name, "cuda:") && absl::SimpleAtoi(name, &number));
}

void AddSize(CLI::App& app, const std::string& name, uint64_t& bytes, const std::string& help) {
  app.add_option_function<std::string>(
         name,
         [&bytes, name](const std::string& text) {
           const absl::StatusOr<uint64_t> parsed = ParseBytes(text);
           if (!parsed.ok()) {
             throw CLI::ValidationError(name, std::string(parsed.status().message()));
           }
           bytes = *parsed;
         },
         help)
      ->type_name("SIZE");
}

void AddModelFlags(CLI::App& app, WorkerOptions& options) {
  app.add_option("--model", options.model, "Checkpoint folder (Hugging Face format)")->required();
  app.add_option("--served-model-name", options.served_model_name,
                 "Name that requests may ask for; default: the folder's name");
  app.add_option("--max-model-len", options.max_model_len,
                 "Tokens of prompt and output together; default: what the checkpoint allows");
  app.add_option("--bits", options.quant.bits, "Of the experts, if this worker quantises them")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  const std::map<std::string, ScaleMode> scales = {{"absmax", ScaleMode::kAbsmax},
                                                   {"mse", ScaleMode::kMse}};
  app.add_option_function<std::string>(
         "--scale",
         [&options, scales](const std::string& name) { options.quant.scale = scales.at(name); },
         "Scales of the experts, if this worker quantises them; default: mse")
      ->check(CLI::IsMember({"absmax", "mse"}));
}

void AddDenseFlags(CLI::App& app, WorkerOptions& options) {
  app.add_option("--dense-bits", options.dense_bits,
                 "Of attention, dense MLP and output head in device memory: 16 keeps the "
                 "checkpoint's, 8 quantises to INT8 with a scale for each output channel")
      ->check(CLI::IsMember({8, 16}))
      ->capture_default_str();
}

void AddMachineFlags(CLI::App& app, WorkerOptions& options) {
  app.add_option("--device", options.device, "cpu or cuda:N")->capture_default_str();
  AddSize(app, "--vram-budget", options.vram_budget_bytes,
          "Device memory for dense weights, KV blocks and workspace (KiB, MiB, GiB); default: "
          "4 GiB");
  app.add_option("--threads", options.threads,
                 "Compute threads of the CPU device; default: all "
                 "cores");
}

void AddCacheFlags(CLI::App& app, WorkerOptions& options) {
  app.add_option("--shm-dir", options.shm_dir,
                 "Where segments live: a tmpfs, a hugetlbfs or any other folder")
      ->capture_default_str();
  app.add_option("--cache-file", options.cache_file,
                 "If this worker populates the segment: the file of spearfish-pack build to read; "
                 "default: quantise the checkpoint");
  app.add_option_function<std::string>(
         "--segment-timeout",
         [&options](const std::string& text) {
           if (!absl::ParseDuration(text, &options.segment_timeout)) {
             throw CLI::ValidationError("--segment-timeout", "not a time: " + text);
           }
         },
         "How long to wait for another process that populates the segment: 90s, 10m; default: inf")
      ->type_name("TIME");
  const std::map<std::string, VerifyCacheMode> modes = {
      {"off", VerifyCacheMode::kOff},
      {"background", VerifyCacheMode::kBackground},
      {"before", VerifyCacheMode::kBefore}};
  app.add_option_function<std::string>(
         "--verify-cache",
         [&options, modes](const std::string& name) { options.verify_cache = modes.at(name); },
         "When to recompute the checksums of a segment that was found ready: off, background (one "
         "thread while serving) or before serving; default: background")
      ->check(CLI::IsMember({"off", "background", "before"}));
  app.add_option("--memory-floor", options.memory_floor,
                 "Share of host memory (or of a cgroup's limit) below which nothing is admitted; "
                 "0: no floor")
      ->capture_default_str();
}

void AddPoolFlags(CLI::App& app, WorkerOptions& options) {
  app.add_option("--max-coverage", options.max_coverage,
                 "Share of the experts that may be in slots of device memory; 0 reads all from the "
                 "cache")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--hard-share", options.hard_share,
                 "Share of the slots that is never given to KV blocks or prefill")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--promotions-per-layer-token", options.promotions_per_layer_token,
                 "Swaps of a hot expert for a cold one that a token earns in each layer")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--heatmap", options.heatmap,
                 "Heatmap file that says which experts get slots first (spearfish-pack heatmap "
                 "records one)");
  app.add_option("--max-prefill-tokens", options.max_prefill_tokens,
                 "Tokens of one step of a long prompt, whose workspace borrows soft slots; at most "
                 "--max-num-batched-tokens: none are borrowed")
      ->capture_default_str();
}

void AddServingFlags(CLI::App& app, WorkerOptions& options, int64_t& drain_grace_s) {
  app.add_option("--listen", options.listen, "HOST:PORT or unix:PATH; port 0 picks a free one")
      ->capture_default_str();
  app.add_option("--max-num-seqs", options.max_num_seqs, "Sequences that run at once")
      ->capture_default_str();
  app.add_option("--max-num-batched-tokens", options.max_num_batched_tokens, "Tokens of one step")
      ->capture_default_str();
  app.add_option("--drain-grace-s", drain_grace_s,
                 "Seconds that running requests and slow readers get after SIGTERM; hanging up may "
                 "take 5 more")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddObservationFlags(CLI::App& app, ObservationOptions& options) {
  app.add_option("--metrics-port", options.metrics_port,
                 "Serve Prometheus metrics over HTTP there, on all addresses; 0 picks a free port; "
                 "default: not served");
  app.add_option_function<std::string>(
         "--metrics-compat",
         [&options](const std::string& name) { options.vllm_metrics = name == "vllm"; },
         "Whose metric names to give beside Spearfish's own: none or vllm; default: none")
      ->check(CLI::IsMember({"none", "vllm"}));
  app.add_option_function<std::string>(
         "--log-format",
         [&options](const std::string& name) {
           options.log_format = name == "json" ? LogFormat::kJson : LogFormat::kText;
         },
         "Log lines for people (text) or one JSON object a line (json); default: text")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--log-requests", options.log_requests,
               "Log a line for each request that is over: ids, counts and times, never its text");
}

}  // namespace

absl::Status WorkerOptions::Validate() const {
  if (!IsDevice(device)) {
    return Invalid("--device", absl::StrCat("\"", device, "\"; use cpu or cuda:N"));
  }
  const auto address = ParseListenAddress(listen);
  if (!address.ok()) return address.status();
  if (absl::Status status = listener.Validate(*address); !status.ok()) return status;
  if (max_num_seqs == 0) return Invalid("--max-num-seqs", "0; at least 1");
  if (max_num_batched_tokens < max_num_seqs) {
    return Invalid("--max-num-batched-tokens",
                   absl::StrCat(max_num_batched_tokens, " is less than --max-num-seqs ",
                                max_num_seqs, "; a step holds a token of every sequence"));
  }
  if (!MemoryFloorOptions::At(memory_floor).Validate().ok()) {
    return Invalid("--memory-floor", absl::StrCat(memory_floor, "; a share such as 0.05"));
  }
  if (vram_budget_bytes == 0) return Invalid("--vram-budget", "0; give a size such as 4GiB");
  return absl::OkStatus();
}

std::string WorkerOptions::ModelName() const {
  if (!served_model_name.empty()) return served_model_name;
  // Normal form, so that neither "." nor a trailing slash makes an empty or odd name.
  const std::filesystem::path folder = std::filesystem::absolute(model).lexically_normal();
  return folder.has_filename() ? folder.filename().string()
                               : folder.parent_path().filename().string();
}

std::optional<int> ParseWorkerOptions(int argc, const char* const* argv, WorkerOptions& options) {
  CLI::App app(
      "Serves one checkpoint on one device. Attaches the host's expert cache, or makes it if "
      "nobody "
      "has.",
      "spearfish-worker");
  app.set_version_flag("--version", kVersion);
  int64_t drain_grace_s = absl::ToInt64Seconds(options.drain_grace);
  AddModelFlags(app, options);
  AddDenseFlags(app, options);
  AddMachineFlags(app, options);
  AddCacheFlags(app, options);
  AddPoolFlags(app, options);
  AddServingFlags(app, options, drain_grace_s);
  AddListenerFlags(app, options.listener);
  AddObservationFlags(app, options.observation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  options.drain_grace = absl::Seconds(drain_grace_s);
  if (const absl::Status status = options.Validate(); !status.ok()) {
    std::cerr << status.message() << "\nRun with --help for more information.\n";
    return kUsageError;
  }
  return std::nullopt;
}

}  // namespace spearfish::worker
