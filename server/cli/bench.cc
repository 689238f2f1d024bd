#include "server/cli/bench.h"

#include <grpcpp/client_context.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "server/cli/arrivals.h"
#include "server/cli/bench_prompts.h"
#include "server/cli/bench_report.h"
#include "server/cli/client.h"
#include "server/cli/load_generator.h"
#include "spearfish/v1/control.grpc.pb.h"

namespace spearfish::server::cli {
namespace {

struct BenchFlags {
  ConnectionFlags connection;
  std::string model;
  std::string prompts;
  uint32_t num_requests = 100;
  uint32_t concurrency = 8;
  std::optional<double> rate;  // open loop
  uint64_t seed = 1;
  uint32_t connections = 4;
  uint32_t prompt_tokens = 128;
  uint32_t max_tokens = 64;
  float temperature = 0;
  bool ignore_eos = true;
  int64_t timeout_s = 600;
  std::optional<double> ttft_slo_ms;
  std::optional<double> itl_slo_ms;
  bool json = false;
};

std::optional<absl::Duration> ToDuration(const std::optional<double>& milliseconds) {
  if (!milliseconds) return std::nullopt;
  return absl::Milliseconds(*milliseconds);
}

// Also shows whether there is anybody to test.
grpc::Status FetchVocabSize(const std::shared_ptr<grpc::Channel>& channel, uint32_t& vocab_size) {
  const auto control = v1::ControlService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::GetModelInfoResponse response;
  const grpc::Status status = control->GetModelInfo(&context, v1::GetModelInfoRequest(), &response);
  vocab_size = std::max(1U, response.vocab_size());
  return status;
}

v1::GenerateStreamRequest RequestWithoutPrompt(const BenchFlags& flags) {
  v1::GenerateStreamRequest request;
  request.set_model(flags.model);
  request.mutable_sampling()->set_temperature(flags.temperature);
  request.mutable_stopping()->set_max_tokens(flags.max_tokens);
  request.mutable_stopping()->set_ignore_eos(flags.ignore_eos);
  return request;
}

LoadGenerator::MakeRequest RequestsOf(const BenchFlags& flags, uint32_t vocab_size,
                                      std::vector<std::string> texts) {
  const SyntheticPrompts synthetic{flags.prompt_tokens, vocab_size, flags.seed};
  return [common = RequestWithoutPrompt(flags), synthetic, texts = std::move(texts),
          seed = flags.seed](uint32_t index) {
    v1::GenerateStreamRequest request = common;
    request.mutable_sampling()->set_seed(seed + index);
    if (texts.empty()) {
      *request.mutable_token_ids() = SyntheticPrompt(synthetic, index);
    } else {
      request.set_text(texts[index % texts.size()]);
    }
    return request;
  };
}

absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> ConnectAll(const BenchFlags& flags) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (uint32_t i = 0; i < flags.connections; ++i) {
    SF_ASSIGN_OR_RETURN(channels.emplace_back(), Connect(flags.connection, Connections::kApart));
  }
  return channels;
}

int Bench(const BenchFlags& flags) {
  const auto channels = ConnectAll(flags);
  if (!channels.ok()) return ReportFailure(channels.status());
  uint32_t vocab_size = 0;
  const grpc::Status status = FetchVocabSize(channels->front(), vocab_size);
  if (!status.ok()) return ReportFailure(flags.connection.endpoint, status);
  std::vector<std::string> texts;
  if (!flags.prompts.empty()) {
    auto read = ReadPrompts(flags.prompts);
    if (!read.ok()) {
      LogError(read.status().message());
      return kUsage;
    }
    texts = *std::move(read);
  }
  LoadGenerator generator(*channels, RequestsOf(flags, vocab_size, std::move(texts)),
                          absl::Seconds(flags.timeout_s));
  const absl::Time begin = absl::Now();
  const std::vector<StreamOutcome> outcomes =
      flags.rate ? generator.RunOpen(PoissonArrivals(*flags.rate, flags.num_requests, flags.seed))
                 : generator.RunClosed(flags.num_requests, flags.concurrency);
  const BenchReport report = Summarize(
      outcomes, absl::Now() - begin, {ToDuration(flags.ttft_slo_ms), ToDuration(flags.itl_slo_ms)});
  std::cout << (flags.json ? ToJson(report) + "\n" : ToTable(report)) << std::flush;
  return report.num_ok > 0 ? kGood : kFailed;
}

void AddLoadFlags(CLI::App& command, BenchFlags& flags) {
  command.add_option("--requests", flags.num_requests, "Requests in all")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* concurrency = command
                          .add_option("--concurrency", flags.concurrency,
                                      "Closed loop: so many at once; one that ends begins the "
                                      "next")
                          ->check(CLI::PositiveNumber)
                          ->capture_default_str();
  command
      .add_option("--rate", flags.rate,
                  "Open loop: so many begin a second, at random (Poisson), whatever becomes of the "
                  "others; times count from when each was due")
      ->check(CLI::PositiveNumber)
      ->excludes(concurrency);
  command.add_option("--seed", flags.seed, "Of arrivals, synthetic prompts and sampling")
      ->capture_default_str();
  command.add_option("--connections", flags.connections, "Connections that the requests share")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--timeout-s", flags.timeout_s, "A request that takes longer is an error")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void AddRequestFlags(CLI::App& command, BenchFlags& flags) {
  command.add_option("--model", flags.model, "Refuse to run unless this model is served");
  auto* prompts = command.add_option("--prompts", flags.prompts,
                                     "File with one text prompt a line, used in turn; default: "
                                     "random token ids");
  command.add_option("--prompt-tokens", flags.prompt_tokens, "Length of the random prompts")
      ->check(CLI::PositiveNumber)
      ->excludes(prompts)
      ->capture_default_str();
  command.add_option("--max-tokens", flags.max_tokens, "Tokens to generate at most")
      ->capture_default_str();
  command.add_option("--temperature", flags.temperature, "0 = greedy")->capture_default_str();
  command.add_flag("--ignore-eos,!--no-ignore-eos", flags.ignore_eos,
                   "Go on after the end-of-sequence token, so that all are equally long (default)");
}

}  // namespace

void AddBench(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand(
      "bench", "Load test: time to first token, inter-token and end-to-end latency, goodput");
  auto flags = std::make_shared<BenchFlags>();  // shared: std::function must be copyable
  AddConnectionFlags(*command, flags->connection);
  AddLoadFlags(*command, *flags);
  AddRequestFlags(*command, *flags);
  command->add_option("--ttft-slo-ms", flags->ttft_slo_ms,
                      "Goodput counts requests whose first token comes within it");
  command->add_option("--itl-slo-ms", flags->itl_slo_ms,
                      "Goodput counts requests whose mean time between tokens is within it");
  command->add_flag("--json", flags->json, "One JSON object instead of the table");
  command->callback([flags, &run] { run = [flags] { return Bench(*flags); }; });
}

}  // namespace spearfish::server::cli
