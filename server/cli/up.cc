#include "server/cli/up.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "server/cli/client.h"
#include "server/cli/gateway_flags.h"
#include "server/cli/supervisor.h"

namespace spearfish::server::cli {
namespace {

constexpr char kWorkerReady[] = "spearfish-worker ready: ";

struct UpFlags {
  std::string model;
  std::vector<std::string> devices = {"cpu"};
  std::string listen = kDefaultEndpoint;
  std::string http_listen;
  std::vector<std::string> gateway_flags;  // passed on as they are
  // Of the first worker; the others count on from it, and the gateway after them.
  std::optional<uint16_t> metrics_port;
  std::vector<std::string> log_flags;     // for all processes
  std::vector<std::string> worker_flags;  // passed on as they are
};

// The other binaries lie beside this one.
std::string SiblingPath(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? name : (self.parent_path() / name).string();
}

bool Gives(const std::vector<std::string>& flags, absl::string_view name) {
  return std::any_of(flags.begin(), flags.end(), [name](const std::string& flag) {
    return flag == name || absl::StartsWith(flag, absl::StrCat(name, "="));
  });
}

// CPU workers share the cores unless told otherwise.
std::string DefaultThreads(const std::vector<std::string>& devices) {
  const auto num_cpu_workers = std::count(devices.begin(), devices.end(), "cpu");
  const auto cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  return absl::StrCat("--threads=",
                      std::max<int64_t>(1, cores / std::max<int64_t>(1, num_cpu_workers)));
}

std::vector<std::string> MetricsFlags(const UpFlags& flags, size_t number) {
  if (!flags.metrics_port) return {};
  const size_t port = *flags.metrics_port == 0 ? 0 : *flags.metrics_port + number;
  return {absl::StrCat("--metrics-port=", port)};
}

void Append(const std::vector<std::string>& more, std::vector<std::string>& to) {
  to.insert(to.end(), more.begin(), more.end());
}

std::vector<ProcessSpec> MakeSpecs(const UpFlags& flags, const std::string& socket_folder) {
  std::vector<ProcessSpec> specs;
  std::vector<std::string> addresses;
  for (size_t i = 0; i < flags.devices.size(); ++i) {
    addresses.push_back(absl::StrCat("unix:", socket_folder, "/worker-", i, ".sock"));
    ProcessSpec worker;
    worker.name = absl::StrCat("worker ", i, " (", flags.devices[i], ")");
    worker.ready_prefix = kWorkerReady;
    worker.argv = {SiblingPath("spearfish-worker"), "--model=" + flags.model,
                   "--device=" + flags.devices[i], "--listen=" + addresses.back()};
    if (flags.devices[i] == "cpu" && !Gives(flags.worker_flags, "--threads")) {
      worker.argv.push_back(DefaultThreads(flags.devices));
    }
    Append(MetricsFlags(flags, i), worker.argv);
    Append(flags.log_flags, worker.argv);
    // What passes the gateway must pass the worker, too.
    for (const std::string& flag : flags.gateway_flags) {
      if (absl::StartsWith(flag, "--max-message-bytes=")) worker.argv.push_back(flag);
    }
    Append(flags.worker_flags, worker.argv);
    specs.push_back(std::move(worker));
  }
  std::vector<std::string> gateway = {SiblingPath("spearfish-gateway"), "--listen=" + flags.listen,
                                      "--workers=" + absl::StrJoin(addresses, ",")};
  if (!flags.http_listen.empty()) gateway.push_back("--http-listen=" + flags.http_listen);
  Append(MetricsFlags(flags, flags.devices.size()), gateway);
  Append(flags.log_flags, gateway);
  Append(flags.gateway_flags, gateway);
  specs.push_back({.name = "gateway",
                   .argv = std::move(gateway),
                   .ready_prefix = absl::StrCat("spearfish-gateway ready: ", addresses.size(),
                                                " of ", addresses.size(), " workers at "),
                   .rank = 1});  // what it has admitted ends before the workers do
  return specs;
}

// The gateway is ready when it has seen all workers ready: then requests can be sent.
void Announce(const ProcessSpec& spec, const std::string& rest) {
  if (spec.ready_prefix == kWorkerReady) {
    LogInfo(absl::StrCat(spec.name, " ready: ", rest));
  } else {
    std::cout << "spearfish ready: " << rest << std::endl;
  }
}

int Up(const UpFlags& flags) {
  std::string folder = (std::filesystem::temp_directory_path() / "spearfish-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    LogError(absl::StrCat("cannot make a folder for sockets at ", folder, "; set TMPDIR"));
    return kFailed;
  }
  const absl::Cleanup remove_folder = [&folder] {
    std::error_code ignored;  // nothing depends on the empty folder
    std::filesystem::remove_all(folder, ignored);
  };
  Supervisor::BlockSignals();
  Supervisor supervisor(MakeSpecs(flags, folder), SupervisorOptions(), Announce);
  const absl::Status status = supervisor.Run();
  if (status.ok()) return kGood;
  LogError(status.message().empty() ? "failed" : absl::string_view(status.message()));
  return kFailed;
}

// Of the launcher itself, the workers and the gateway.
void AddLogFlags(CLI::App& command, UpFlags& flags) {
  command
      .add_option_function<std::string>(
          "--log-format",
          [&flags](const std::string& name) {
            const LogFormat format = name == "json" ? LogFormat::kJson : LogFormat::kText;
            InitLog("spearfish", LogLevel::kInfo, format);
            flags.log_flags.push_back("--log-format=" + name);
          },
          "Log lines for people (text) or one JSON object a line (json); default: text")
      ->check(CLI::IsMember({"text", "json"}));
  command.add_flag_callback(
      "--log-requests", [&flags] { flags.log_flags.emplace_back("--log-requests"); },
      "Workers and gateway log a line for each request that is over");
}

}  // namespace

void AddUp(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand(
      "up",
      "Run workers and a gateway on this host; a worker that dies is started again; Ctrl-C drains. "
      "Flags that are not listed here go to every worker (see spearfish-worker --help).");
  auto flags = std::make_shared<UpFlags>();  // shared: std::function must be copyable
  command->add_option("--model", flags->model, "Checkpoint folder")->required();
  command->add_option("--devices", flags->devices, "One worker each: cpu,cpu or cuda:0,cuda:1")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--listen", flags->listen, "The gateway's HOST:PORT or unix:PATH")
      ->capture_default_str();
  command->add_option(
      "--http-listen", flags->http_listen,
      "The gateway's HOST:PORT for OpenAI-compatible HTTP, over TLS with --tls-cert; "
      "none: no HTTP");
  command->add_option("--metrics-port", flags->metrics_port,
                      "The first worker serves Prometheus metrics there, the others and then the "
                      "gateway on the ports that follow; 0 picks free ones");
  AddLogFlags(*command, *flags);
  AddGatewayFlags(*command, flags->gateway_flags);
  command->allow_extras();
  command->callback([flags, command, &run] {
    flags->worker_flags = command->remaining();
    run = [flags] { return Up(*flags); };
  });
}

}  // namespace spearfish::server::cli
