#include "server/cli/status.h"

#include <grpcpp/client_context.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "server/cli/client.h"
#include "spearfish/v1/control.grpc.pb.h"

namespace spearfish::server::cli {
namespace {

constexpr std::chrono::seconds kTimeout{5};

struct StatusFlags {
  ConnectionFlags connection;
  bool watch = false;
  bool layers = false;
};

struct Snapshot {
  v1::GetServerInfoResponse server;
  v1::GetLoadsResponse loads;
  v1::GetModelInfoResponse model;
  v1::GetExpertCacheStatsResponse caches;
  bool has_model = false;
};

// Server info and loads must answer; a model is there only when a worker is ready.
grpc::Status Fetch(v1::ControlService::Stub& control, Snapshot& out) {
  const auto deadline = std::chrono::system_clock::now() + kTimeout;
  const auto call = [deadline](auto&& method) {
    grpc::ClientContext context;
    context.set_deadline(deadline);
    return method(&context);
  };
  grpc::Status status = call([&](grpc::ClientContext* context) {
    return control.GetServerInfo(context, v1::GetServerInfoRequest(), &out.server);
  });
  if (!status.ok()) return status;
  status = call([&](grpc::ClientContext* context) {
    return control.GetLoads(context, v1::GetLoadsRequest(), &out.loads);
  });
  if (!status.ok()) return status;
  out.has_model = call([&](grpc::ClientContext* context) {
                    return control.GetModelInfo(context, v1::GetModelInfoRequest(), &out.model);
                  }).ok();
  return call([&](grpc::ClientContext* context) {
    return control.GetExpertCacheStats(context, v1::GetExpertCacheStatsRequest(), &out.caches);
  });
}

// A line of its own for what keeps a worker from admitting.
std::string DescribeUnfitness(const v1::WorkerLoad& load) {
  std::string lines;
  if (load.memory_low()) {
    lines = absl::StrFormat("    memory low: %s available in %s, the floor is %s; admits nothing\n",
                            FormatBytes(load.memory_available_bytes()), load.memory_pool(),
                            FormatBytes(load.memory_floor_bytes()));
  }
  if (!load.cache_error().empty()) {
    lines += absl::StrFormat("    expert cache damaged: %s\n", load.cache_error());
  }
  return lines;
}

std::string Describe(const v1::WorkerLoad& load) {
  return absl::StrFormat("  %-28s %-8s %-9s running %u/%u  waiting %u  kv %d/%d  %.1f tokens/s\n%s",
                         load.address(), load.device(), load.ready() ? "ready" : "not ready",
                         load.running_sequences(), load.max_running_sequences(),
                         load.waiting_sequences(), load.kv_blocks_used(), load.kv_blocks_total(),
                         load.tokens_per_second(), DescribeUnfitness(load));
}

double Share(uint64_t part, uint64_t rest) {
  return part + rest == 0 ? 0.0
                          : 100.0 * static_cast<double>(part) / static_cast<double>(part + rest);
}

// "12 (58.4 MiB, 51.2 GB/s)"
std::string Describe(const v1::TransferStats& transfer) {
  if (transfer.bytes() == 0) return absl::StrFormat("%d", transfer.count());
  return absl::StrFormat("%d (%s, %.1f GB/s)", transfer.count(), FormatBytes(transfer.bytes()),
                         transfer.seconds() > 0
                             ? static_cast<double>(transfer.bytes()) / transfer.seconds() * 1e-9
                             : 0.0);
}

std::string DescribePool(const v1::ExpertCacheStats& cache) {
  const v1::FrameStats& frames = cache.frames();
  return absl::StrFormat(
      "    pool      coverage %.1f %% (%d of %d experts, %d loading)  hit rate %.1f %% of %d\n"
      "    frames    %d hard and %d soft slots, %d KV, %d workspace, %d unused, of %s\n"
      "    transfers loads %s  reclaims %s  reloads %s  promotions %s  cancelled %d\n",
      100 * cache.coverage(), cache.resident(), cache.records(), cache.loading(),
      Share(cache.hits(), cache.misses()), cache.hits() + cache.misses(), frames.hard_slots(),
      frames.soft_slots(), frames.kv(), frames.workspace(), frames.unused(),
      FormatBytes(frames.frame_bytes()), Describe(cache.loads()), Describe(cache.reclaims()),
      Describe(cache.reloads()), Describe(cache.promotions()), cache.cancelled_loads());
}

std::string Describe(const v1::ExpertCacheStats& cache) {
  return absl::StrFormat(
             "  %-28s %s  %s in %d records, %s  host memory: rss %s, pss %s, beyond the segment "
             "%s\n",
             cache.address(), cache.segment_name(), FormatBytes(cache.segment_bytes()),
             cache.records(), cache.populated_here() ? "populated here" : "attached",
             FormatBytes(cache.mapping_rss_bytes()), FormatBytes(cache.mapping_pss_bytes()),
             FormatBytes(cache.extra_host_bytes())) +
         DescribePool(cache);
}

std::string DescribeLayers(const v1::ExpertCacheStats& cache) {
  std::string out;
  for (const v1::LayerExpertStats& layer : cache.layers()) {
    out +=
        absl::StrFormat("    layer %-4d %5d resident  hits %12d  misses %12d  hit rate %5.1f %%\n",
                        layer.moe_layer(), layer.resident(), layer.hits(), layer.misses(),
                        Share(layer.hits(), layer.misses()));
  }
  return out;
}

// The sum of the workers' proportional shares is what the experts take on this host.
std::string DescribeHostMemory(const v1::GetExpertCacheStatsResponse& caches) {
  uint64_t pss = 0;
  uint64_t segment = 0;
  for (const v1::ExpertCacheStats& cache : caches.workers()) {
    pss += cache.mapping_pss_bytes();
    segment = std::max<uint64_t>(segment, cache.segment_bytes());
  }
  return absl::StrFormat("experts in host memory: %s for %d workers (segment %s)\n",
                         FormatBytes(pss), caches.workers_size(), FormatBytes(segment));
}

void Print(const StatusFlags& flags, const Snapshot& now) {
  std::cout << absl::StrFormat("%s %s at %s, up %.0f s%s\n",
                               now.server.role() == v1::SERVER_ROLE_GATEWAY ? "gateway" : "worker",
                               now.server.version(), flags.connection.endpoint,
                               now.server.uptime_seconds(),
                               now.server.draining() ? ", draining" : "");
  if (now.has_model) {
    std::cout << absl::StrFormat(
        "model %s (%s), %u layers, %u experts of which %u a token, INT%u, up to %u tokens\n",
        now.model.served_model_name(), now.model.architecture(), now.model.num_layers(),
        now.model.num_experts(), now.model.num_experts_per_token(), now.model.expert_bits(),
        now.model.max_model_len());
  }
  std::cout << "workers\n";
  for (const v1::WorkerLoad& load : now.loads.workers()) std::cout << Describe(load);
  std::cout << "expert cache\n";
  for (const v1::ExpertCacheStats& cache : now.caches.workers()) {
    std::cout << Describe(cache) << (flags.layers ? DescribeLayers(cache) : "");
  }
  if (now.caches.workers_size() > 0) std::cout << DescribeHostMemory(now.caches);
  std::cout << std::flush;
}

int Status(const StatusFlags& flags) {
  const auto channel = Connect(flags.connection);
  if (!channel.ok()) return ReportFailure(channel.status());
  const auto control = v1::ControlService::NewStub(*channel);
  while (true) {
    Snapshot now;
    const grpc::Status status = Fetch(*control, now);
    if (!status.ok()) return ReportFailure(flags.connection.endpoint, status);
    if (flags.watch) std::cout << "\033[H\033[2J";
    Print(flags, now);
    if (!flags.watch) return kGood;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

void AddStatus(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand("status", "Show workers, loads and the expert cache");
  auto flags = std::make_shared<StatusFlags>();  // shared: std::function must be copyable
  AddConnectionFlags(*command, flags->connection);
  command->add_flag("--watch", flags->watch, "Refresh every second until interrupted");
  command->add_flag("--layers", flags->layers, "Show hits and misses layer by layer");
  command->callback([flags, &run] { run = [flags] { return Status(*flags); }; });
}

}  // namespace spearfish::server::cli
