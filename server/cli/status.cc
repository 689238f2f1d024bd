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
  std::string endpoint = kDefaultEndpoint;
  bool watch = false;
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

std::string Describe(const v1::WorkerLoad& load) {
  return absl::StrFormat("  %-28s %-8s %-9s running %u/%u  waiting %u  kv %d/%d  %.1f tokens/s\n",
                         load.address(), load.device(), load.ready() ? "ready" : "not ready",
                         load.running_sequences(), load.max_running_sequences(),
                         load.waiting_sequences(), load.kv_blocks_used(), load.kv_blocks_total(),
                         load.tokens_per_second());
}

std::string Describe(const v1::ExpertCacheStats& cache) {
  const uint64_t reads = cache.hits() + cache.misses();
  return absl::StrFormat(
      "  %-28s %s  %s in %d records, %s  slots %d  coverage %.1f %%  hit rate %.1f %% of %d  "
      "host memory: rss %s, pss %s, beyond the segment %s\n",
      cache.address(), cache.segment_name(), FormatBytes(cache.segment_bytes()), cache.records(),
      cache.populated_here() ? "populated here" : "attached", cache.slots_total(),
      100 * cache.coverage(),
      reads == 0 ? 0.0 : 100.0 * static_cast<double>(cache.hits()) / static_cast<double>(reads),
      reads, FormatBytes(cache.mapping_rss_bytes()), FormatBytes(cache.mapping_pss_bytes()),
      FormatBytes(cache.extra_host_bytes()));
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

void Print(const std::string& endpoint, const Snapshot& now) {
  std::cout << absl::StrFormat("%s %s at %s, up %.0f s%s\n",
                               now.server.role() == v1::SERVER_ROLE_GATEWAY ? "gateway" : "worker",
                               now.server.version(), endpoint, now.server.uptime_seconds(),
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
  for (const v1::ExpertCacheStats& cache : now.caches.workers()) std::cout << Describe(cache);
  if (now.caches.workers_size() > 0) std::cout << DescribeHostMemory(now.caches);
  std::cout << std::flush;
}

int Status(const StatusFlags& flags) {
  const auto control = v1::ControlService::NewStub(Connect(flags.endpoint));
  while (true) {
    Snapshot now;
    const grpc::Status status = Fetch(*control, now);
    if (!status.ok()) return ReportFailure(flags.endpoint, status);
    if (flags.watch) std::cout << "\033[H\033[2J";
    Print(flags.endpoint, now);
    if (!flags.watch) return kGood;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

void AddStatus(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand("status", "Show workers, loads and the expert cache");
  auto flags = std::make_shared<StatusFlags>();  // shared: std::function must be copyable
  command->add_option("--endpoint", flags->endpoint, "Gateway or worker")->capture_default_str();
  command->add_flag("--watch", flags->watch, "Refresh every second until interrupted");
  command->callback([flags, &run] { run = [flags] { return Status(*flags); }; });
}

}  // namespace spearfish::server::cli
