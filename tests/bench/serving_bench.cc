// Decode tokens/s of one model three ways in one run: the engine alone in this process, a worker
// over gRPC, and the gateway in front of it. usage: serving_bench [CHECKPOINT] [THREADS]
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/tokenizer/tokenizer.h"
#include "server/cli/child_process.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"
#include "tests/golden/loaded_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"
#include "worker/engine/engine.h"

namespace spearfish::tests {
namespace {

constexpr uint32_t kTokens = 256;
constexpr int kRepetitions = 5;
const std::vector<TokenId> kPrompt = {1194, 258, 1891, 1109, 415};

// Runs `num_streams` generations of kTokens at once; returns when all have ended.
using Run = std::function<void(uint32_t num_streams)>;

double BestTokensPerSecond(uint32_t num_streams, const Run& run) {
  run(num_streams);  // warms up
  double best = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    const absl::Time begin = absl::Now();
    run(num_streams);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    best = std::max(best, num_streams * kTokens / seconds);
  }
  return best;
}

void RunOnEngine(worker::Engine& engine, uint32_t num_streams) {
  std::latch ended(num_streams);
  for (uint32_t i = 0; i < num_streams; ++i) {
    worker::GenerationRequest request;
    request.request_id = std::to_string(i);
    request.prompt = kPrompt;
    request.stopping.max_tokens = kTokens;
    request.stopping.ignore_eos = true;
    SF_CHECK_OK(engine.Submit(std::move(request), [&ended](const worker::EngineEvent& event) {
      if (std::holds_alternative<worker::SequenceFinished>(event)) ended.count_down();
    }));
  }
  ended.wait();
}

void StreamOne(v1::InferenceService::Stub& client) {
  v1::GenerateStreamRequest request;
  for (const TokenId id : kPrompt) request.mutable_token_ids()->add_ids(id);
  request.mutable_sampling()->set_temperature(0);
  request.mutable_stopping()->set_max_tokens(kTokens);
  request.mutable_stopping()->set_ignore_eos(true);
  grpc::ClientContext context;
  const auto reader = client.GenerateStream(&context, request);
  v1::GenerateStreamResponse response;
  uint32_t tokens = 0;
  while (reader->Read(&response)) tokens += response.delta().token_ids_size();
  SF_CHECK(reader->Finish().ok() && tokens == kTokens);
}

Run OverGrpc(const std::string& address) {
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  // Shared with the std::function, which must be copyable.
  const std::shared_ptr<v1::InferenceService::Stub> client = v1::InferenceService::NewStub(channel);
  return [client](uint32_t num_streams) {
    std::vector<std::thread> threads;
    threads.reserve(num_streams);
    for (uint32_t i = 0; i < num_streams; ++i) threads.emplace_back([&] { StreamOne(*client); });
    for (std::thread& thread : threads) thread.join();
  };
}

std::string AwaitReady(server::cli::ChildProcess& up) {
  const std::string prefix = "spearfish ready: ";
  for (;;) {
    for (const std::string& line : up.ReadLines()) {
      if (line.rfind(prefix, 0) == 0) return line.substr(prefix.size());
    }
    SF_CHECK(up.output_fd() >= 0);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

std::string WorkerAddress(const std::string& gateway) {
  const auto control =
      v1::ControlService::NewStub(grpc::CreateChannel(gateway, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::GetLoadsResponse loads;
  SF_CHECK(control->GetLoads(&context, v1::GetLoadsRequest(), &loads).ok());
  return loads.workers(0).address();
}

void Measure(const std::string& model, uint32_t num_threads) {
  auto loaded = LoadedModel::Create(
      model, {.quant = {}, .model = {}, .device_bytes = 4 * kGiB, .num_threads = num_threads});
  SF_CHECK_OK(loaded.status());
  auto tokenizer = Tokenizer::FromFile(model + "/tokenizer.json");
  SF_CHECK_OK(tokenizer.status());
  auto engine = worker::Engine::Create({}, *(*loaded)->model, **tokenizer);
  SF_CHECK_OK(engine.status());

  const TempDir shm;
  auto up = server::cli::ChildProcess::Start(
      {SPEARFISH_BINARY_DIR "/spearfish", "up", "--model=" + model, "--devices=cpu",
       "--listen=127.0.0.1:0", "--threads=" + std::to_string(num_threads),
       "--shm-dir=" + shm.path()});
  SF_CHECK_OK(up.status());
  const std::string gateway = AwaitReady(**up);
  const Run over_gateway = OverGrpc(gateway);
  const Run over_worker = OverGrpc(WorkerAddress(gateway));

  std::printf("%s, %u compute threads, %u tokens a stream, best of %d\n", model.c_str(),
              num_threads, kTokens, kRepetitions);
  std::printf("| streams | engine alone | worker over gRPC | through the gateway | share |\n");
  std::printf("|---|---|---|---|---|\n");
  for (const uint32_t streams : {1U, 8U, 32U}) {
    const double alone = BestTokensPerSecond(
        streams, [&](uint32_t num_streams) { RunOnEngine(**engine, num_streams); });
    const double worker = BestTokensPerSecond(streams, over_worker);
    const double through = BestTokensPerSecond(streams, over_gateway);
    std::printf("| %u | %.0f | %.0f | %.0f | %.2f |\n", streams, alone, worker, through,
                through / alone);
  }
  (*up)->Signal(SIGTERM);
  waitpid((*up)->pid(), nullptr, 0);
}

}  // namespace
}  // namespace spearfish::tests

int main(int argc, char** argv) {
  const std::string model = argc > 1 ? argv[1]
                                     : spearfish::tests::SharedPath("models/qwen3-moe-15m")
                                           .value_or(spearfish::tests::BundledCheckpoint());
  spearfish::tests::Measure(model, argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 1);
  return 0;
}
