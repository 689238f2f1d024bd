// What the gateway costs: tokens/s, time per token, streams held at once and memory per stream,
// through it, directly from a worker that has no model, and from gRPC alone, in one run.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/file_limit.h"
#include "server/cli/child_process.h"
#include "tests/bench/feed_client.h"
#include "tests/bench/feed_server.h"

namespace spearfish::tests {
namespace {

using server::cli::ChildProcess;

constexpr char kServersReady[] = "feeds ready: ";
constexpr char kGatewayReady[] = "spearfish-gateway ready: 1 of 1 workers at ";

struct BenchFlags {
  bool serve = false;  // the process that has the worker and the echo
  std::vector<uint32_t> streams = {1, 8, 64, 512};
  uint32_t tokens = 2000;  // of all streams of one repetition together, at least 16 each
  int repetitions = 5;
  uint32_t paced_streams = 64;
  int64_t interval_ms = 20;
  uint32_t paced_tokens = 200;
  uint32_t held = 10000;
  uint32_t streams_per_connection = 100;
  int64_t hold_interval_ms = 5000;
  int64_t hold_s = 15;
};

int Serve() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Pacer pacer;
  const FeedServer worker(FeedServer::Kind::kWorker, pacer);
  const FeedServer echo(FeedServer::Kind::kEcho, pacer);
  std::cout << kServersReady << worker.address() << " " << echo.address() << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  std::quick_exit(0);  // streams that are still paced need no farewell
}

std::unique_ptr<ChildProcess> Start(const std::vector<std::string>& argv) {
  auto child = ChildProcess::Start(argv);
  SF_CHECK_OK(child.status());
  return *std::move(child);
}

std::string AwaitLine(ChildProcess& child, const std::string& begin) {
  for (;;) {
    for (const std::string& line : child.ReadLines()) {
      if (line.rfind(begin, 0) == 0) return line.substr(begin.size());
    }
    SF_CHECK(child.output_fd() >= 0);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

void Stop(ChildProcess& child) {
  child.Signal(SIGTERM);
  waitpid(child.pid(), nullptr, 0);
}

uint64_t ResidentBytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  uint64_t pages = 0;
  uint64_t resident = 0;
  SF_CHECK(static_cast<bool>(statm >> pages >> resident));
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

float Percentile(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<int64_t>(share * (double(values.size()) - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

struct Paths {
  std::string echo;
  std::string worker;
  std::string gateway;
};

double BestTokensPerSecond(const std::string& address, const FeedLoad& load, int repetitions) {
  FeedClient client(address, 4);
  client.Run(load);  // warms up
  double best = 0;
  for (int i = 0; i < repetitions; ++i) {
    const FeedResult result = client.Run(load);
    SF_CHECK(result.num_failed == 0);
    best = std::max(best, double(result.num_tokens) / absl::ToDoubleSeconds(result.took));
  }
  return best;
}

void MeasureRate(const BenchFlags& flags, const Paths& paths) {
  std::printf("\ntokens/s as fast as they are taken, best of %d\n", flags.repetitions);
  std::printf("| streams | tokens each | gRPC alone | worker | gateway | gateway / worker |\n");
  std::printf("|---|---|---|---|---|---|\n");
  for (const uint32_t streams : flags.streams) {
    const FeedLoad load{.num_streams = streams,
                        .num_tokens = std::max(16U, flags.tokens / streams)};
    const double echo = BestTokensPerSecond(paths.echo, load, flags.repetitions);
    const double worker = BestTokensPerSecond(paths.worker, load, flags.repetitions);
    const double gateway = BestTokensPerSecond(paths.gateway, load, flags.repetitions);
    std::printf("| %u | %u | %.0f | %.0f | %.0f | %.2f |\n", streams, load.num_tokens, echo, worker,
                gateway, gateway / worker);
  }
}

void MeasureLatency(const BenchFlags& flags, const Paths& paths) {
  const FeedLoad load{.num_streams = flags.paced_streams,
                      .num_tokens = flags.paced_tokens,
                      .interval = absl::Milliseconds(flags.interval_ms)};
  std::printf(
      "\nmicroseconds from a token's leaving to its arrival, %u streams, a token each %d ms\n",
      load.num_streams, static_cast<int>(flags.interval_ms));
  std::printf("| path | p50 | p99 | added to the worker's p50 | p99 |\n|---|---|---|---|---|\n");
  float worker_p50 = 0;
  float worker_p99 = 0;
  const std::pair<const char*, const std::string&> all[] = {
      {"gRPC alone", paths.echo}, {"worker", paths.worker}, {"gateway", paths.gateway}};
  for (const auto& [name, address] : all) {
    FeedClient client(address, 4);
    FeedResult result = client.Run(load);
    SF_CHECK(result.num_failed == 0);
    const float p50 = Percentile(result.microseconds, 0.5);
    const float p99 = Percentile(result.microseconds, 0.99);
    if (address == paths.worker) {
      worker_p50 = p50;
      worker_p99 = p99;
    }
    if (address == paths.gateway) {
      std::printf("| %s | %.0f | %.0f | %.0f | %.0f |\n", name, p50, p99, p50 - worker_p50,
                  p99 - worker_p99);
    } else {
      std::printf("| %s | %.0f | %.0f | | |\n", name, p50, p99);
    }
  }
}

void MeasureHeld(const BenchFlags& flags, const Paths& paths, pid_t gateway) {
  const FeedLoad load{.num_streams = flags.held,
                      .num_tokens = 1U << 30,
                      .interval = absl::Milliseconds(flags.hold_interval_ms)};
  const uint32_t connections =
      std::max(1U, (flags.held + flags.streams_per_connection - 1) / flags.streams_per_connection);
  FeedClient client(paths.gateway, connections);
  client.Run({.num_streams = connections, .num_tokens = 4});  // connects
  const uint64_t before = ResidentBytes(gateway);
  const absl::Time begin = absl::Now();
  client.Open(load);
  const double opened_s = absl::ToDoubleSeconds(absl::Now() - begin);
  absl::SleepFor(absl::Seconds(flags.hold_s));
  const uint64_t held = ResidentBytes(gateway);
  FeedResult result = client.End();
  std::printf(
      "\n%u streams at once over %u connections, a token each %d ms, open after %.1f s, held for "
      "%d "
      "s\n",
      flags.held, connections, static_cast<int>(flags.hold_interval_ms), opened_s,
      static_cast<int>(flags.hold_s));
  std::printf("tokens delivered: %llu, p50 %.0f us, p99 %.0f us\n",
              static_cast<unsigned long long>(result.num_tokens),
              Percentile(result.microseconds, 0.5), Percentile(result.microseconds, 0.99));
  std::printf("gateway's resident memory: %.1f MiB before, %.1f MiB with them: %.1f KiB a stream\n",
              double(before) / 0x1p20, double(held) / 0x1p20,
              (double(held) - double(before)) / 1024 / flags.held);
}

int Measure(const BenchFlags& flags, const std::string& self) {
  const auto servers = Start({self, "--serve"});
  std::istringstream addresses(AwaitLine(*servers, kServersReady));
  Paths paths;
  addresses >> paths.worker >> paths.echo;
  const auto gateway = Start({SPEARFISH_BINARY_DIR "/spearfish-gateway", "--listen=127.0.0.1:0",
                              "--workers=" + paths.worker, "--max-queue=100000"});
  paths.gateway = AwaitLine(*gateway, kGatewayReady);
  MeasureRate(flags, paths);
  MeasureLatency(flags, paths);
  if (flags.held > 0) MeasureHeld(flags, paths, gateway->pid());
  Stop(*gateway);
  Stop(*servers);
  return 0;
}

}  // namespace
}  // namespace spearfish::tests

int main(int argc, char** argv) {
  spearfish::tests::BenchFlags flags;
  CLI::App app("Measures the gateway against a worker without a model and against gRPC alone.");
  app.add_flag("--serve", flags.serve, "Be the servers (the benchmark starts itself so)");
  app.add_option("--streams", flags.streams, "Numbers of streams of the first table")
      ->delimiter(',');
  app.add_option("--tokens", flags.tokens, "Of a repetition of it, over all streams");
  app.add_option("--repetitions", flags.repetitions, "Of it");
  app.add_option("--paced-streams", flags.paced_streams, "Streams of the second");
  app.add_option("--paced-tokens", flags.paced_tokens, "Tokens of each of them");
  app.add_option("--interval-ms", flags.interval_ms, "Between them");
  app.add_option("--held", flags.held, "Streams held at once");
  app.add_option("--hold-interval-ms", flags.hold_interval_ms, "Between tokens of those");
  app.add_option("--hold-s", flags.hold_s, "Seconds that they are held");
  app.add_option("--streams-per-connection", flags.streams_per_connection, "Of those");
  CLI11_PARSE(app, argc, argv);
  spearfish::RaiseFileLimit();
  return flags.serve ? spearfish::tests::Serve() : spearfish::tests::Measure(flags, argv[0]);
}
