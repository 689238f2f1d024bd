// A decode step of a model that is all resident: its time against the bytes that it must read over
// the memory's bandwidth in the same run, and the kernels that it is made of.
//   TMPDIR=/dev/shm step_breakdown --device=cuda:0      other shapes and batches by flags: --help
// Step times are taken without the trace, kernels' times in a second pass with it. Without a GPU
// there is no second pass; without CUPTI it fails, after the step times.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "tests/bench/small_moe.h"
#include "tests/bench/synthetic_cache.h"
#include "tests/golden/test_device.h"
#include "tests/gpu/activity_trace.h"
#include "tests/gpu/decode_run.h"
#include "tests/gpu/hbm_read.h"
#include "tests/gpu/step_table.h"
#include "worker/model/qwen3_moe_model.h"

namespace spearfish::gpu {
namespace {

constexpr uint32_t kWarmSteps = 8;             // a graph is captured in the second
constexpr uint64_t kBesideExperts = 4 * kGiB;  // dense weights, KV blocks, workspace

struct Options {
  std::string device = "cuda:0";
  std::vector<std::string> shapes = {"122b", "small"};
  std::vector<uint32_t> batches = {1, 8};
  uint32_t layers = 8;  // of 122b
  uint32_t context = 1024;
  uint32_t steps = 200;
  uint32_t traced_steps = 50;
  bench::MemoryCheck memory_check = bench::MemoryCheck::kOn;
};

bool OnGpu(const Options& options) { return absl::StartsWith(options.device, "cuda"); }

struct Shape {
  const char* what = "";
  tests::SyntheticOptions model = {};
  uint32_t dense_bits = 16;
};

// Qwen3.5-122B-A10B's experts under full attention: the matrices that gpu_bench measures alone.
Shape Large(uint32_t layers) {
  return {.what =
              "hidden 3072, 8 of 256 experts of 1,024 channels in INT4, 64 heads on 4 kv heads "
              "of 128, vocabulary 151,936, dense INT8",
          .model = {.vocab_size = 151936,
                    .hidden_size = 3072,
                    .num_layers = layers,
                    .num_heads = 64,
                    .num_kv_heads = 4,
                    .head_dim = 128,
                    .num_experts = 256,
                    .num_experts_per_token = 8,
                    .moe_intermediate_size = 1024,
                    .max_position_embeddings = 32768},
          .dense_bits = 8};
}

// decode_bench's.
Shape Small() {
  return {.what =
              "hidden 1024, 8 of 32 experts of 512 channels in INT4, 16 heads on 2 kv heads of "
              "128, vocabulary 2,048, dense BF16",
          .model = tests::SmallMoe(),
          .dense_bits = 16};
}

// Members are destroyed in reverse.
struct LoadedModel {
  static absl::StatusOr<std::unique_ptr<LoadedModel>> Create(const bench::SyntheticCache& made,
                                                             const Shape& shape,
                                                             const Options& options) {
    auto loaded = std::make_unique<LoadedModel>();
    SF_ASSIGN_OR_RETURN(loaded->device, tests::CreateTestDevice(
                                            options.device, made.segment->bytes() + kBesideExperts,
                                            std::thread::hardware_concurrency()));
    worker::ModelOptions model;
    model.max_model_len = options.context + options.steps + options.traced_steps + 4 * kWarmSteps;
    model.max_step_sequences = *std::max_element(options.batches.begin(), options.batches.end());
    model.dense.bits = shape.dense_bits;
    model.pool.promotions_per_layer_token = 0;
    SF_ASSIGN_OR_RETURN(loaded->model, worker::Qwen3MoeModel::Create(
                                           *made.checkpoint, made.segment->cache(),
                                           *loaded->device.device, *loaded->device.kernels, model));
    SF_CHECK(loaded->model->pool_figures().coverage() == 1.0);
    return loaded;
  }
  DecodeRun Start(uint32_t batch, uint32_t context) {
    return {*model, device.kernels->activation_dtype(), batch, context};
  }

  tests::TestDevice device;
  std::unique_ptr<worker::Qwen3MoeModel> model;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct StepTime {
  double micros = 0;  // median
  StepBytes bytes;    // means
};

StepTime MeasureSteps(LoadedModel& loaded, uint32_t batch, const Options& options) {
  DecodeRun run = loaded.Start(batch, options.context);
  for (uint32_t i = 0; i < kWarmSteps; ++i) run.Step();
  const uint64_t graphs = loaded.model->graphs().num_launches();
  std::vector<double> micros;
  StepTime time;
  for (uint32_t i = 0; i < options.steps; ++i) {
    micros.push_back(1e3 * run.Step());
    const StepBytes bytes = run.Bytes();
    time.bytes.dense += bytes.dense / options.steps;
    time.bytes.experts += bytes.experts / options.steps;
    time.bytes.kv += bytes.kv / options.steps;
  }
  time.micros = Median(micros);
  std::printf(
      "batch %u: %.1f us a step (median of %u, 5 %% of them above %.1f), %llu of them one "
      "graph; %.0f tokens/s\n",
      batch, time.micros, options.steps,
      [&micros] {
        std::sort(micros.begin(), micros.end());
        return micros[micros.size() * 95 / 100];
      }(),
      static_cast<unsigned long long>(loaded.model->graphs().num_launches() - graphs),
      1e6 * batch / time.micros);
  return time;
}

void PrintFloor(const StepTime& time, double hbm) {
  const StepBytes& bytes = time.bytes;
  std::printf("reads %.1f MB: dense weights %.1f, experts %.1f, KV %.1f\n", bytes.sum() / 1e6,
              bytes.dense / 1e6, bytes.experts / 1e6, bytes.kv / 1e6);
  if (hbm == 0) return;
  const double floor = 1e6 * bytes.sum() / hbm;
  std::printf(
      "over the memory's %.0f GB/s: %.1f us (dense %.1f, experts %.1f, KV %.1f); the step "
      "takes %.2f times that\n",
      hbm / 1e9, floor, 1e6 * bytes.dense / hbm, 1e6 * bytes.experts / hbm, 1e6 * bytes.kv / hbm,
      time.micros / floor);
}

void PrintTable(const StepTable& table, const StepTime& time) {
  std::printf("\n| kernel | calls a step | us a step | %% of all |\n|---|---|---|---|\n");
  for (const StepTable::Row& row : table.rows) {
    std::printf("| %s | %.1f | %.1f | %.1f |\n", row.name.c_str(), row.calls, row.micros,
                100 * row.micros / table.sum_micros);
  }
  std::printf("| sum | | %.1f | |\n", table.sum_micros);
  if (!table.spans.has_value()) {
    std::printf("gaps unknown: traced steps had unlike numbers of kernels\n");
  } else {
    std::printf(
        "traced step, first start to last end: %.1f us, of it idle between kernels %.1f "
        "(the trace's own cost included)\n",
        table.spans->span_micros, table.spans->span_micros - table.spans->busy_micros);
  }
  std::printf("step without the trace less the kernels' sum: %.1f us (host, launch, gaps)\n",
              time.micros - table.sum_micros);
}

absl::Status TraceSteps(LoadedModel& loaded, ActivityTrace& trace, uint32_t batch,
                        const StepTime& time, const Options& options) {
  DecodeRun run = loaded.Start(batch, options.context);
  for (uint32_t i = 0; i < kWarmSteps; ++i) run.Step();
  SF_RETURN_IF_ERROR(trace.Take().status());
  for (uint32_t i = 0; i < options.traced_steps; ++i) run.Step();
  SF_ASSIGN_OR_RETURN(const std::vector<Activity> activities, trace.Take());
  if (activities.empty()) return absl::UnavailableError("CUPTI recorded nothing");
  std::printf("\nbatch %u, %u steps traced", batch, options.traced_steps);
  PrintTable(MakeStepTable(activities, options.traced_steps), time);
  return absl::OkStatus();
}

// A shape, and what was measured of it.
struct Subject {
  Shape shape;
  std::unique_ptr<bench::SyntheticCache> made;
  std::vector<StepTime> times;  // [batches]
};

void PrintSubject(const Subject& subject, const LoadedModel& loaded, const Options& options) {
  std::printf(
      "\n%u layers, %s; %.2f GB of experts and %.2f GB dense on the device; contexts from %u "
      "tokens\n",
      subject.shape.model.num_layers, subject.shape.what,
      static_cast<double>(subject.made->segment->bytes()) / 1e9,
      static_cast<double>(loaded.model->dense_weight_bytes()) / 1e9, options.context);
}

absl::Status Measure(Subject& subject, const Options& options) {
  SF_ASSIGN_OR_RETURN(subject.made,
                      bench::SyntheticCache::Create(subject.shape.model, options.memory_check));
  SF_ASSIGN_OR_RETURN(const auto loaded,
                      LoadedModel::Create(*subject.made, subject.shape, options));
  PrintSubject(subject, *loaded, options);
  const double hbm = OnGpu(options) ? MeasureHbmRead() : 0;
  for (const uint32_t batch : options.batches) {
    subject.times.push_back(MeasureSteps(*loaded, batch, options));
    PrintFloor(subject.times.back(), hbm);
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

absl::Status Trace(const Subject& subject, ActivityTrace& trace, const Options& options) {
  SF_ASSIGN_OR_RETURN(const auto loaded,
                      LoadedModel::Create(*subject.made, subject.shape, options));
  PrintSubject(subject, *loaded, options);
  for (size_t i = 0; i < options.batches.size(); ++i) {
    SF_RETURN_IF_ERROR(TraceSteps(*loaded, trace, options.batches[i], subject.times[i], options));
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

// Everything is timed before the trace begins: it may leave something behind. And every model is
// made anew for it: graphs made before may not show their kernels.
absl::Status Run(const Options& options) {
  std::vector<Subject> subjects;
  for (const std::string& name : options.shapes) {
    Subject& subject = subjects.emplace_back();
    subject.shape = name == "122b" ? Large(options.layers) : Small();
    SF_RETURN_IF_ERROR(Measure(subject, options));
  }
  if (!OnGpu(options)) return absl::OkStatus();
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<ActivityTrace> trace, ActivityTrace::Start());
  for (const Subject& subject : subjects) {
    SF_RETURN_IF_ERROR(Trace(subject, *trace, options));
  }
  return absl::OkStatus();
}

int Main(const Options& options) {
  const absl::Status ran = Run(options);
  if (ran.ok()) return 0;
  std::printf("\nends here: %s\n", ran.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace spearfish::gpu

int main(int argc, char** argv) {
  spearfish::gpu::Options options;
  CLI::App app("A decode step of a model that is all resident, kernel by kernel.");
  app.add_option("--device", options.device, "cpu, cuda:N or cuda:N:f32");
  app.add_option("--shapes", options.shapes)
      ->delimiter(',')
      ->check(CLI::IsMember({"122b", "small"}));
  app.add_option("--batches", options.batches)->delimiter(',')->check(CLI::Range(1, 64));
  app.add_option("--layers", options.layers, "of 122b");
  app.add_option("--context", options.context, "tokens of each sequence before the first step");
  app.add_option("--steps", options.steps, "whose time is taken");
  app.add_option("--traced-steps", options.traced_steps);
  app.add_flag_callback(
      "--no-memory-check",
      [&options] { options.memory_check = spearfish::bench::MemoryCheck::kOff; },
      "for machines whose memory grows as it is used");
  CLI11_PARSE(app, argc, argv);
  return spearfish::gpu::Main(options);
}
