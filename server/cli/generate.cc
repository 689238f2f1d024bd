#include "server/cli/generate.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/client_context.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/cli/client.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct GenerateFlags {
  ConnectionFlags connection;
  std::string model;
  std::string prompt;
  std::vector<uint32_t> token_ids;
  uint32_t max_tokens = 128;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<uint32_t> top_k;
  std::optional<uint64_t> seed;
  std::optional<uint32_t> logprobs;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  bool json = false;
  bool stats = false;
};

v1::GenerateStreamRequest MakeRequest(const GenerateFlags& flags) {
  v1::GenerateStreamRequest request;
  request.set_model(flags.model);
  if (flags.token_ids.empty()) {
    request.set_text(flags.prompt);
  } else {
    for (const uint32_t id : flags.token_ids) request.mutable_token_ids()->add_ids(id);
  }
  v1::Sampling& sampling = *request.mutable_sampling();
  if (flags.temperature.has_value()) sampling.set_temperature(*flags.temperature);
  if (flags.top_p.has_value()) sampling.set_top_p(*flags.top_p);
  if (flags.top_k.has_value()) sampling.set_top_k(*flags.top_k);
  if (flags.seed.has_value()) sampling.set_seed(*flags.seed);
  request.mutable_stopping()->set_max_tokens(flags.max_tokens);
  request.mutable_stopping()->set_ignore_eos(flags.ignore_eos);
  for (const std::string& stop : flags.stop) request.mutable_stopping()->add_stop_strings(stop);
  if (flags.logprobs.has_value()) request.mutable_output()->set_logprobs(*flags.logprobs);
  request.mutable_output()->set_text(true);
  return request;
}

void PrintJsonLine(const v1::GenerateStreamResponse& response) {
  std::string line;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  if (google::protobuf::util::MessageToJsonString(response, &line, options).ok()) {
    std::cout << line << std::endl;
  }
}

void PrintLogprobs(const v1::Delta& delta) {
  for (int i = 0; i < delta.logprobs_size(); ++i) {
    const v1::PositionLogprobs& position = delta.logprobs(i);
    std::fprintf(stderr, "\n  %u %.5f", position.chosen().token_id(), position.chosen().logprob());
    for (const v1::TokenLogprob& top : position.top()) {
      std::fprintf(stderr, "  %u:%.5f", top.token_id(), top.logprob());
    }
  }
}

// Counts tokens and time; speed is over the tokens after the first, so that it is decode's own.
struct Meter {
  Clock::time_point started = Clock::now();
  Clock::time_point first;
  Clock::time_point last;
  uint64_t tokens = 0;

  void Count(int new_tokens) {
    last = Clock::now();
    if (tokens == 0) first = last;
    tokens += static_cast<uint64_t>(new_tokens);
  }
  void Print(const v1::PromptInfo& info, const v1::Finish& finish) const {
    const double ttft_ms = std::chrono::duration<double, std::milli>(first - started).count();
    const double decode_s = std::chrono::duration<double>(last - first).count();
    const double speed =
        tokens > 1 && decode_s > 0 ? static_cast<double>(tokens - 1) / decode_s : 0;
    std::fprintf(
        stderr,
        "%u prompt tokens, %u generated; first token after %.1f ms, then %.1f tokens/s; "
        "experts read from host memory %llu times, from the device's pool %llu; worker %s\n",
        finish.usage().prompt_tokens(), finish.usage().completion_tokens(), ttft_ms, speed,
        static_cast<unsigned long long>(finish.experts().misses()),
        static_cast<unsigned long long>(finish.experts().hits()), info.routed_worker().c_str());
  }
};

int Generate(const GenerateFlags& flags) {
  const auto channel = Connect(flags.connection);
  if (!channel.ok()) return ReportFailure(channel.status());
  const auto client = v1::InferenceService::NewStub(*channel);
  grpc::ClientContext context;
  Meter meter;
  const auto reader = client->GenerateStream(&context, MakeRequest(flags));
  v1::GenerateStreamResponse response;
  v1::PromptInfo info;
  v1::Finish finish;
  while (reader->Read(&response)) {
    if (response.has_delta()) meter.Count(response.delta().token_ids_size());
    if (response.has_prompt_info()) info = response.prompt_info();
    if (response.has_finish()) finish = response.finish();
    if (flags.json) {
      PrintJsonLine(response);
    } else if (response.has_delta()) {
      std::cout << response.delta().text() << std::flush;
      PrintLogprobs(response.delta());
    }
  }
  const grpc::Status status = reader->Finish();
  if (!flags.json) std::cout << std::endl;
  if (!status.ok()) return ReportFailure(flags.connection.endpoint, status);
  if (flags.stats) meter.Print(info, finish);
  return kGood;
}

}  // namespace

void AddGenerate(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand("generate", "Send one prompt and stream the answer");
  auto flags = std::make_shared<GenerateFlags>();  // shared: std::function must be copyable
  AddConnectionFlags(*command, flags->connection);
  command->add_option("--model", flags->model, "Refuse to run unless this model is served");
  auto* prompt = command->add_option("--prompt", flags->prompt, "Text to continue");
  auto* ids = command->add_option("--token-ids", flags->token_ids, "Prompt as ids: 1,2,3");
  ids->delimiter(',')->excludes(prompt);
  command->add_option("--max-tokens", flags->max_tokens, "Tokens to generate at most")
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0 = greedy");
  command->add_option("--top-p", flags->top_p, "Nucleus of the distribution, (0, 1]");
  command->add_option("--top-k", flags->top_k, "Most likely tokens considered; 0 = all");
  command->add_option("--seed", flags->seed, "Same seed, same answer");
  command->add_option("--logprobs", flags->logprobs, "Log-probabilities of the N most likely");
  command->add_option("--stop", flags->stop, "Stop before this text; may be repeated");
  command->add_flag("--ignore-eos", flags->ignore_eos, "Go on after the end-of-sequence token");
  command->add_flag("--json", flags->json, "One JSON object a message, as in inference.proto");
  command->add_flag("--stats", flags->stats, "Counts and speed to stderr at the end");
  command->callback([flags, prompt, ids, &run] {
    if (prompt->count() == 0 && ids->count() == 0) {
      throw CLI::RequiredError("--prompt or --token-ids");
    }
    run = [flags] { return Generate(*flags); };
  });
}

}  // namespace spearfish::server::cli
