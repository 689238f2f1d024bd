// The expert pool at full scale, through the parts that a worker is made of: a segment of 60 GB, a
// pool of 24 GB. How fast it fills against plain copies of 1 GiB from the same mapping, what a
// reload beside decode steps costs either, what host memory it takes, and whether slots hold what
// they must. Exit status 1 when a slot or an output is wrong, or host memory has grown.
//   TMPDIR=/dev/shm pool_load_bench --device=cuda:0      smaller sizes by flags: --help
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "tests/bench/memory_log.h"
#include "tests/bench/pool_under_load.h"
#include "tests/bench/routing_model.h"
#include "tests/bench/routing_trace.h"
#include "tests/bench/slot_check.h"

namespace spearfish::bench {
namespace {

// Heaps, a driver's books and the like, unless a quarter of the pool is less; a mirror or a staging
// buffer is larger.
constexpr uint64_t kNoiseBytes = 16 * kMiB;
constexpr uint32_t kWarmSteps = 4;
constexpr uint64_t kRegionBytes = worker::RegisteredRecords::kMaxPieceBytes / 4 * 3;

struct Options {
  PoolUnderLoadOptions pool = {};
  uint64_t copy_bytes = kGiB;
  uint32_t steps = 100;           // of each phase without a reload
  uint32_t heat_tokens = 512;     // routed before the pool is filled, as a heatmap has them
  uint64_t compare_slots = 1000;  // after each load; 0 = all
  MemoryCheck memory_check = MemoryCheck::kOn;
};

double SecondsSince(absl::Time begin) { return absl::ToDoubleSeconds(absl::Now() - begin); }

double Median(std::vector<double> values) {
  SF_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Bench {
 public:
  Bench(const Options& options, PoolUnderLoad& parts)
      : options_(options),
        parts_(parts),
        routing_({.num_experts = options.pool.experts,  // tests/data/routing.json: qwen3.5-122b
                  .top_k = options.pool.top_k,
                  .sigma_g = 1.449,
                  .sigma_p = 0.188,
                  .sigma_s = 2.78,
                  .rho = 0.829},
                 options.pool.layers, 1),
        memory_(*parts.made.segment, parts.budget_bytes) {
    const std::vector<uint32_t> counts =
        TotalCounts(RecordTrace(routing_, 4, options.heat_tokens / 4));
    parts_.pool->Seed(std::vector<double>(counts.begin(), counts.end()));
    routed_ = RecordTrace(routing_, 1, std::max(options.steps, 64u));
  }

  // False when something is wrong.
  bool Run() {
    std::memset(parts_.staging->data(), 0, parts_.staging->bytes());  // its pages count before
    MeasureCopies();                                                  // warms up, too
    RunSteps(kWarmSteps, routed_.chosen);
    const std::vector<std::byte> cold = LastOutputs();
    const uint64_t host_before = memory_.Note("pool empty");
    const double before = MeasureCopies();
    Load("synchronous load", before);
    bool ok = Check("after the load");
    ok = CheckOutputs(cold) && ok;
    GiveUpSoftHalf();
    ReturnSoftHalf();
    Load("synchronous reload", before);
    uint64_t host_after = memory_.Note("pool full");
    PrintPhaseHead();
    ReloadBeside("8 of the experts in hard slots: no step reads the link", ResidentRoutes());
    ok = Check("after the reload") && ok;
    ReloadBeside("routed as Qwen3.5-122B", routed_.chosen);
    ok = Check("after the last reload") && ok;
    host_after = std::max(host_after, memory_.Note("after two reloads"));
    memory_.Print();
    return CheckHostMemory(host_before, host_after) && ok;
  }

 private:
  using Routes = std::vector<uint16_t>;  // [tokens, layers, top_k]

  std::span<const uint16_t> Token(const Routes& routes, uint64_t t) const {
    const size_t size = size_t{options_.pool.layers} * options_.pool.top_k;
    return std::span(routes).subspan(t % (routes.size() / size) * size, size);
  }

  // The limit: pieces of the mapping to the pool's frames. GB/s.
  double MeasureCopies() {
    const uint64_t record = parts_.arena->frame_bytes();
    const uint64_t records = parts_.store->record_addresses().size() * record;
    // No copy may cross two registrations: all come from the first.
    const uint64_t region = std::min({records, parts_.num_slots() * record, kRegionBytes});
    const uint64_t piece = std::min(options_.copy_bytes, region);
    const auto* source = reinterpret_cast<const std::byte*>(parts_.store->record_addresses()[0]);
    parts_.stream->Synchronize();
    const absl::Time begin = absl::Now();
    for (uint64_t at = 0; at + piece <= region; at += piece) {
      parts_.stream->Copy(parts_.arena->base() + at, source + at, piece);
    }
    parts_.stream->Synchronize();
    return static_cast<double>(region / piece * piece) / 1e9 / SecondsSince(begin);
  }

  // Fills all empty slots and waits.
  void Load(const char* what, double copies) {
    const worker::PoolFigures before = parts_.pool->figures();
    const uint64_t available = AvailableHostBytes();
    const absl::Time begin = absl::Now();
    parts_.pool->Load(*parts_.stream);
    const double seconds = SecondsSince(begin);
    const worker::PoolFigures after = parts_.pool->figures();
    SF_CHECK(after.num_resident == parts_.num_slots());
    const double gigabytes = static_cast<double>(after.loads.bytes - before.loads.bytes +
                                                 after.reloads.bytes - before.reloads.bytes) /
                             1e9;
    std::printf(
        "%s of %.2f GB: %.3f s, %.2f GB/s, %.3f of copies of %s from the same mapping (%.2f GB/s); "
        "MemAvailable %+.1f MiB, the pool's own host memory %s\n",
        what, gigabytes, seconds, gigabytes / seconds, gigabytes / seconds / copies,
        FormatBytes(options_.copy_bytes).c_str(), copies,
        (static_cast<double>(AvailableHostBytes()) - static_cast<double>(available)) / kMiB,
        FormatBytes(after.extra_host_bytes).c_str());
    std::fflush(stdout);
  }
  void GiveUpSoftHalf() {
    parts_.pool->Reclaim(worker::FrameId{parts_.num_hard()}, parts_.num_soft(),
                         worker::FrameUse::kWorkspace, *parts_.stream);
  }
  void ReturnSoftHalf() {
    parts_.pool->Return(worker::FrameId{parts_.num_hard()}, parts_.num_soft(), *parts_.stream);
  }

  // Milliseconds of each step.
  std::vector<double> RunSteps(uint32_t count, const Routes& routes) {
    std::vector<double> millis;
    for (uint32_t i = 0; i < count; ++i) millis.push_back(Step(routes));
    return millis;
  }
  double Step(const Routes& routes) {
    const auto token = Token(routes, next_token_++);
    const absl::Time begin = absl::Now();
    parts_.steps->Run(token);
    return 1e3 * SecondsSince(begin);
  }

  std::vector<std::byte> LastOutputs() {
    last_token_ = next_token_ - 1;
    return parts_.steps->Outputs();
  }
  // The step that ran on a cold pool, again.
  bool CheckOutputs(const std::vector<std::byte>& cold) {
    parts_.steps->Run(Token(routed_.chosen, last_token_));
    const bool equal = parts_.steps->Outputs() == cold;
    std::printf("outputs of one step with the pool empty and full: %s\n",
                equal ? "equal" : "DIFFERENT");
    return equal;
  }

  bool Check(const char* when) {
    const absl::Time begin = absl::Now();
    const SlotCheck check =
        CheckSlots(parts_.made.segment->cache(), *parts_.store, *parts_.pool, *parts_.arena,
                   options_.compare_slots, *parts_.staging, *parts_.stream);
    std::printf(
        "slots %s: %llu resident, %llu compared with the segment, %llu different, %llu "
        "misplaced (%.1f s)\n",
        when, static_cast<unsigned long long>(check.resident),
        static_cast<unsigned long long>(check.compared),
        static_cast<unsigned long long>(check.different),
        static_cast<unsigned long long>(check.misplaced), SecondsSince(begin));
    return check.ok() && check.resident == parts_.num_slots();
  }

  // Random tokens whose experts lie in hard slots.
  Routes ResidentRoutes() {
    Routes routes;
    const uint32_t experts = options_.pool.experts;
    std::mt19937 random(3);
    const auto base = reinterpret_cast<uint64_t>(parts_.arena->base());
    const uint64_t end = base + parts_.num_hard() * parts_.arena->frame_bytes();
    std::vector<Routes> hard(options_.pool.layers);
    for (worker::RecordIndex r = 0; r < options_.pool.layers * experts; ++r) {
      const uint32_t layer = r / experts;
      const uint64_t address = parts_.store->table().address(layer, ExpertId{r % experts});
      if (parts_.pool->resident(r) && address >= base && address < end) {
        hard[layer].push_back(static_cast<uint16_t>(r % experts));
      }
    }
    for (uint32_t t = 0; t < std::max(options_.steps, 64u); ++t) {
      for (Routes& of_layer : hard) {
        SF_CHECK(of_layer.size() >= options_.pool.top_k);  // else the pool is too small for this
        std::shuffle(of_layer.begin(), of_layer.end(), random);
        routes.insert(routes.end(), of_layer.begin(), of_layer.begin() + options_.pool.top_k);
      }
    }
    return routes;
  }

  static void PrintPhaseHead() {
    std::printf(
        "\n| steps | phase | steps | median ms | most ms | hit rate %% "
        "|\n|---|---|---|---|---|---|\n");
  }
  void PrintPhase(const char* routes, const char* phase, const std::vector<double>& millis,
                  const worker::PoolFigures& before) const {
    const worker::PoolFigures after = parts_.pool->figures();
    uint64_t hits = 0;
    uint64_t all = 0;
    for (size_t layer = 0; layer < after.layers.size(); ++layer) {
      hits += after.layers[layer].hits - before.layers[layer].hits;
      all += after.layers[layer].hits - before.layers[layer].hits;
      all += after.layers[layer].misses - before.layers[layer].misses;
    }
    std::printf("| %s | %s | %zu | %.3f | %.3f | %.1f |\n", routes, phase, millis.size(),
                Median(millis), *std::max_element(millis.begin(), millis.end()),
                100 * static_cast<double>(hits) / static_cast<double>(all));
    std::fflush(stdout);
  }
  void Phase(const char* what, const char* phase, const Routes& routes) {
    const worker::PoolFigures before = parts_.pool->figures();
    PrintPhase(what, phase, RunSteps(options_.steps, routes), before);
  }

  // Gives the soft half up and fills it again while steps run.
  void ReloadBeside(const char* what, const Routes& routes) {
    RunSteps(kWarmSteps, routes);
    Phase(what, "pool full", routes);
    GiveUpSoftHalf();
    Phase(what, "soft half given up", routes);
    ReturnSoftHalf();
    const worker::PoolFigures before = parts_.pool->figures();
    const absl::Time begin = absl::Now();
    std::vector<double> millis;
    do {
      millis.push_back(Step(routes));
    } while (parts_.pool->figures().num_resident < parts_.num_slots());
    const double seconds = SecondsSince(begin);
    PrintPhase(what, "reload under way", millis, before);
    const worker::TransferFigures after = parts_.pool->figures().reloads;
    const double gigabytes = static_cast<double>(after.bytes - before.reloads.bytes) / 1e9;
    const double busy = after.seconds - before.reloads.seconds;
    Phase(what, "pool full again", routes);
    std::printf(
        "| | reloaded %.2f GB in %.3f s, %.2f GB/s; copies on their way for %.3f s, %.2f GB/s | "
        "| | | |\n",
        gigabytes, seconds, gigabytes / seconds, busy, gigabytes / busy);
    std::fflush(stdout);
  }

  bool CheckHostMemory(uint64_t before, uint64_t after) const {
    const uint64_t pool = parts_.num_slots() * parts_.arena->frame_bytes();
    const bool ok = after <= before + std::min(kNoiseBytes, pool / 4);
    std::printf("host memory beside segment and device memory, pool empty to full: %+.2f MiB%s\n",
                (static_cast<double>(after) - static_cast<double>(before)) / kMiB,
                ok ? "" : ", TOO MUCH");
    return ok;
  }

  const Options options_;
  PoolUnderLoad& parts_;
  RoutingModel routing_;
  RoutingTrace routed_;
  MemoryLog memory_;
  uint64_t next_token_ = 0;
  uint64_t last_token_ = 0;
};

// Returned, not checked: the temporary folder, in memory, must go.
int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

int Main(const Options& options) {
  const uint64_t available = AvailableHostBytes();
  const absl::Time begin = absl::Now();
  const auto made =
      SyntheticCache::Create(PoolUnderLoad::Model(options.pool), options.memory_check);
  if (!made.ok()) return Fail(made.status());
  const ExpertCacheSegment& segment = *(*made)->segment;
  std::printf(
      "segment of %.2f GB, %llu records of %.3f MB, made in %.1f s: MemAvailable %+.2f GB\n",
      static_cast<double>(segment.bytes()) / 1e9,
      static_cast<unsigned long long>(segment.cache().num_records()),
      static_cast<double>(segment.cache().layout().record_bytes) / 1e6, SecondsSince(begin),
      (static_cast<double>(AvailableHostBytes()) - static_cast<double>(available)) / 1e9);
  std::fflush(stdout);
  const auto parts = PoolUnderLoad::Create(**made, options.pool);
  if (!parts.ok()) return Fail(parts.status());
  const kernels::DeviceInfo& device = (*parts)->device.device->info();
  std::printf(
      "device: %s, %s; segment registered in %.2f s; pool of %u slots, %.2f GB, %.1f %% of "
      "the experts\n",
      device.name.c_str(), device.description.c_str(), (*parts)->register_seconds,
      (*parts)->num_slots(),
      static_cast<double>((*parts)->num_slots() * (*parts)->arena->frame_bytes()) / 1e9,
      100.0 * (*parts)->num_slots() / static_cast<double>(segment.cache().num_records()));
  std::fflush(stdout);
  Bench bench(options, **parts);
  return bench.Run() ? 0 : 1;
}

}  // namespace
}  // namespace spearfish::bench

int main(int argc, char** argv) {
  spearfish::bench::Options options;
  CLI::App app("The expert pool at full scale.");
  app.add_option("--device", options.pool.device, "cpu, cuda:N or cuda:N:f32");
  app.add_option("--layers", options.pool.layers);
  app.add_option("--experts", options.pool.experts, "of a layer");
  app.add_option("--hidden", options.pool.hidden);
  app.add_option("--channels", options.pool.channels, "of an expert");
  app.add_option("--top-k", options.pool.top_k);
  app.add_option("--pool-bytes", options.pool.pool_bytes);
  app.add_option("--threads", options.pool.num_threads, "that compute on the CPU device");
  app.add_option("--promotions", options.pool.promotions_per_layer_token, "per layer and token");
  app.add_option("--copy-bytes", options.copy_bytes, "of a copy that is the limit");
  app.add_option("--steps", options.steps, "of each phase without a reload");
  app.add_option("--heat-tokens", options.heat_tokens, "routed before the pool is filled");
  app.add_option("--compare-slots", options.compare_slots, "after each load; 0 = all");
  app.add_flag_callback(
      "--no-memory-check",
      [&options] { options.memory_check = spearfish::bench::MemoryCheck::kOff; },
      "for machines whose memory grows as it is used");
  CLI11_PARSE(app, argc, argv);
  return spearfish::bench::Main(options);
}
