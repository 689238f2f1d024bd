// The whole worker: checkpoint, segment, CPU device, model, engine and services.
#include "tests/integration/worker/worker_process.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish::worker {
namespace {

using ::testing::HasSubstr;

// A greedy token may differ from the reference's only where the two best logits are this close.
constexpr double kDecisiveMargin = 0.05;

class Worker : public ::testing::Test {
 protected:
  std::vector<std::string> Arguments(const std::string& name) const {
    return {"--model=" + tests::BundledCheckpoint(), "--shm-dir=" + folder_.path(),
            "--listen=unix:" + folder_.File(name), "--scale=absmax"};
  }

  std::unique_ptr<WorkerProcess> Start(const std::string& name,
                                       const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = Arguments(name);
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto process = std::make_unique<WorkerProcess>(arguments);
    EXPECT_TRUE(process->WaitUntilReady());
    return process;
  }

  static nlohmann::json Golden() {
    return nlohmann::json::parse(tests::ReadFile(tests::BundledGolden()))["int4_absmax_experts"];
  }

  const tests::TempDir folder_;
};

v1::GenerateStreamRequest Greedy(const std::vector<uint32_t>& ids, uint32_t max_tokens) {
  v1::GenerateStreamRequest request;
  request.mutable_token_ids()->mutable_ids()->Add(ids.begin(), ids.end());
  request.mutable_sampling()->set_temperature(0);
  request.mutable_stopping()->set_max_tokens(max_tokens);
  request.mutable_stopping()->set_ignore_eos(true);
  return request;
}

struct Answer {
  grpc::Status status;
  std::vector<uint32_t> ids;
  std::string text;
  v1::Finish finish;
};

Answer Ask(
    WorkerProcess& worker, const v1::GenerateStreamRequest& request,
    std::chrono::system_clock::time_point deadline = std::chrono::system_clock::time_point::max()) {
  Answer answer;
  grpc::ClientContext context;
  context.set_deadline(deadline);
  const auto reader = worker.inference().GenerateStream(&context, request);
  v1::GenerateStreamResponse message;
  while (reader->Read(&message)) {
    const v1::Delta& delta = message.delta();
    answer.ids.insert(answer.ids.end(), delta.token_ids().begin(), delta.token_ids().end());
    answer.text += delta.text();
    if (message.has_finish()) answer.finish = message.finish();
  }
  answer.status = reader->Finish();
  return answer;
}

v1::WorkerLoad Load(WorkerProcess& worker) {
  grpc::ClientContext context;
  v1::GetLoadsResponse loads;
  EXPECT_TRUE(worker.control().GetLoads(&context, {}, &loads).ok());
  return loads.workers_size() == 1 ? loads.workers(0) : v1::WorkerLoad();
}

v1::ExpertCacheStats CacheStats(WorkerProcess& worker) {
  grpc::ClientContext context;
  v1::GetExpertCacheStatsResponse stats;
  EXPECT_TRUE(worker.control().GetExpertCacheStats(&context, {}, &stats).ok());
  return stats.workers_size() == 1 ? stats.workers(0) : v1::ExpertCacheStats();
}

// Ends when nothing is live; a leak of sequence or blocks runs into the test's timeout.
void WaitUntilFree(WorkerProcess& worker) {
  for (;;) {
    const v1::WorkerLoad load = Load(worker);
    if (load.running_sequences() + load.waiting_sequences() + load.kv_blocks_used() == 0) return;
  }
}

TEST_F(Worker, StreamsTheGoldenContinuations) {
  const auto worker = Start("w");
  for (const auto& golden : Golden()) {
    const auto expected = golden["greedy"].get<std::vector<uint32_t>>();
    const auto margins = golden["greedy_margins"].get<std::vector<double>>();
    const Answer answer = Ask(*worker, Greedy(golden["ids"].get<std::vector<uint32_t>>(),
                                              static_cast<uint32_t>(expected.size())));
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.ids.size(), expected.size());
    EXPECT_EQ(answer.finish.finish_reason(), v1::FINISH_REASON_LENGTH);
    EXPECT_EQ(answer.finish.usage().completion_tokens(), expected.size());
    EXPECT_GT(answer.finish.experts().hits(), 0u);
    EXPECT_EQ(answer.finish.experts().misses(), 0u);  // the pool holds every expert
    for (size_t step = 0; step < expected.size(); ++step) {
      if (margins[step] < kDecisiveMargin) break;
      EXPECT_EQ(answer.ids[step], expected[step]) << golden["prompt"] << " step " << step;
    }
  }
}

TEST_F(Worker, ATextPromptAnswersInText) {
  const auto worker = Start("w");
  const auto golden = Golden()[0];
  const Answer by_ids = Ask(*worker, Greedy(golden["ids"].get<std::vector<uint32_t>>(), 16));
  v1::GenerateStreamRequest request = Greedy({}, 16);
  request.set_text(golden["prompt"].get<std::string>());
  const Answer by_text = Ask(*worker, request);
  ASSERT_TRUE(by_text.status.ok()) << by_text.status.error_message();
  EXPECT_EQ(by_text.ids, by_ids.ids);
  EXPECT_TRUE(by_ids.text.empty());

  v1::DetokenizeRequest back;
  back.mutable_token_ids()->Add(by_text.ids.begin(), by_text.ids.end());
  back.set_skip_special_tokens(true);
  v1::DetokenizeResponse text;
  grpc::ClientContext context;
  ASSERT_TRUE(worker->inference().Detokenize(&context, back, &text).ok());
  EXPECT_EQ(by_text.text, text.text());
}

TEST_F(Worker, ASecondOneAttachesAndSharesTheOneCopy) {
  const auto first = Start("a");
  const auto second = Start("b");
  const auto ids = Golden()[0]["ids"].get<std::vector<uint32_t>>();
  const Answer from_first = Ask(*first, Greedy(ids, 200));
  const Answer from_second = Ask(*second, Greedy(ids, 200));
  EXPECT_EQ(from_first.ids, from_second.ids);

  const v1::ExpertCacheStats one = CacheStats(*first);
  const v1::ExpertCacheStats two = CacheStats(*second);
  EXPECT_TRUE(one.populated_here());
  EXPECT_FALSE(two.populated_here());
  EXPECT_EQ(one.segment_name(), two.segment_name());
  EXPECT_EQ(one.segment_bytes(), two.segment_bytes());
  // Both have read most of it, and together they are charged for it once.
  EXPECT_GT(one.mapping_rss_bytes(), one.segment_bytes() / 2);
  EXPECT_GT(two.mapping_rss_bytes(), two.segment_bytes() / 2);
  EXPECT_LE(one.mapping_pss_bytes() + two.mapping_pss_bytes(), one.segment_bytes());
  // Address table and counters, nothing of an expert.
  EXPECT_LT(one.extra_host_bytes() + two.extra_host_bytes(), 64u << 10);
}

TEST_F(Worker, RefusesBadRequestsNamingTheField) {
  const auto worker = Start("w");
  const auto refusal = [&](v1::GenerateStreamRequest request) {
    return Ask(*worker, request).status;
  };
  grpc::Status status = refusal(Greedy({}, 1));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("token_ids is empty"));
  status = refusal(Greedy({1, 2048}, 1));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("token_ids[1] 2048"));
  v1::GenerateStreamRequest request = Greedy({1}, 1);
  request.mutable_stopping()->add_stop_strings(std::string(1 << 20, 's'));
  status = refusal(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("stop_strings[0] has 1048576 bytes"));
  request = Greedy({1}, 1);
  request.set_model("gpt");
  EXPECT_EQ(refusal(request).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(Worker, ALiveRequestIdIsTaken) {
  const auto worker = Start("w");
  v1::GenerateStreamRequest request = Greedy({1}, 4000);
  request.set_request_id("mine");
  grpc::ClientContext context;
  const auto reader = worker->inference().GenerateStream(&context, request);
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(Ask(*worker, request).status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  context.TryCancel();
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  WaitUntilFree(*worker);
  request.mutable_stopping()->set_max_tokens(1);
  EXPECT_TRUE(Ask(*worker, request).status.ok());
}

TEST_F(Worker, TakesAPromptUpToTheModelsLength) {
  const auto worker = Start("w");
  grpc::ClientContext context;
  v1::GetModelInfoResponse info;
  ASSERT_TRUE(worker->control().GetModelInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.max_model_len(), 4096u);
  std::vector<uint32_t> ids(info.max_model_len() - 1);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<uint32_t>(i * 7 % 2000);
  const Answer full = Ask(*worker, Greedy(ids, 100));
  ASSERT_TRUE(full.status.ok()) << full.status.error_message();
  EXPECT_EQ(full.ids.size(), 1u);
  EXPECT_EQ(full.finish.finish_reason(), v1::FINISH_REASON_LENGTH);

  ids.push_back(1);
  const grpc::Status status = Ask(*worker, Greedy(ids, 100)).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("4096"));
}

TEST_F(Worker, DeadlinesAndCancellationsFreeTheirSequences) {
  const auto worker = Start("w");
  for (int i = 0; i < 20; ++i) {
    const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(1);
    EXPECT_EQ(Ask(*worker, Greedy({1, 2, 3}, 4000), deadline).status.error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  WaitUntilFree(*worker);
  grpc::ClientContext context;
  const auto reader = worker->inference().GenerateStream(&context, Greedy({1, 2, 3}, 4000));
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(Load(*worker).running_sequences(), 1u);
  context.TryCancel();
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  WaitUntilFree(*worker);
}

TEST_F(Worker, FiveThousandRequestsAtOnce) {
  constexpr int kRequests = 5000;
  const auto worker = Start("w", {"--memory-floor=0"});
  v1::GenerateRequest request;
  request.mutable_token_ids()->add_ids(1);
  request.mutable_stopping()->set_max_tokens(1);
  std::vector<grpc::ClientContext> contexts(kRequests);
  std::vector<v1::GenerateResponse> responses(kRequests);
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  absl::BlockingCounter left(kRequests);
  for (int i = 0; i < kRequests; ++i) {
    worker->inference().async()->Generate(
        &contexts[i], &request, &responses[i], [&](const grpc::Status& status) {
          if (status.ok()) ++served;
          if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) ++refused;
          left.DecrementCount();
        });
  }
  left.Wait();
  EXPECT_EQ(served + refused, kRequests);
  EXPECT_GE(served, 4096);  // the queue's length
  WaitUntilFree(*worker);
}

TEST_F(Worker, SigtermFinishesWhatRunsAndEndsWell) {
  const auto worker = Start("w", {"--drain-grace-s=500"});
  grpc::ClientContext context;
  const auto reader = worker->inference().GenerateStream(&context, Greedy({1}, 500));
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  worker->Signal(SIGTERM);
  int num_tokens = message.delta().token_ids_size();
  while (reader->Read(&message)) num_tokens += message.delta().token_ids_size();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(num_tokens, 500);
  EXPECT_EQ(worker->Wait(), 0);
}

TEST_F(Worker, ASlowReaderLosesNothingAtTheEnd) {
  const auto worker = Start("w", {"--drain-grace-s=500"});
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // windows stay small: the worker must wait
  const auto inference = v1::InferenceService::NewStub(grpc::CreateCustomChannel(
      "unix:" + folder_.File("w"), grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  v1::GenerateStreamRequest request = Greedy({1}, 2000);
  request.mutable_output()->set_logprobs(20);
  const auto reader = inference->GenerateStream(&context, request);
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  worker->Signal(SIGTERM);
  WaitUntilFree(*worker);
  absl::SleepFor(absl::Seconds(6));  // more than idle connections are given
  int num_tokens = 0;
  while (reader->Read(&message)) num_tokens += message.delta().token_ids_size();
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(num_tokens, 2000);
  EXPECT_EQ(worker->Wait(), 0);
}

TEST_F(Worker, ASecondSignalEndsAtOnce) {
  const auto worker = Start("w");
  grpc::ClientContext context;
  const auto reader = worker->inference().GenerateStream(&context, Greedy({1}, 4000));
  v1::GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  worker->Signal(SIGINT);
  while (reader->Read(&message)) worker->Signal(SIGINT);
  EXPECT_EQ(worker->Wait(), 128 + SIGINT);
}

TEST_F(Worker, TheReadyLineNamesAddressModelAndSegment) {
  const auto worker = Start("w", {"--served-model-name=bible"});
  EXPECT_THAT(worker->ready_line(), HasSubstr("unix:" + folder_.File("w")));
  EXPECT_THAT(worker->ready_line(), HasSubstr("model bible"));
  EXPECT_THAT(worker->ready_line(), HasSubstr("segment spearfish-"));
}

TEST_F(Worker, AHeatmapSaysWhichExpertsGetTheSlots) {
  std::string identity;
  {
    const auto worker = Start("first");
    v1::GetModelInfoResponse info;
    grpc::ClientContext context;
    ASSERT_TRUE(worker->control().GetModelInfo(&context, {}, &info).ok());
    identity = info.cache_identity().substr(0, 16);
  }
  // All the heat is in layer 2; a quarter of the experts get slots: one layer's worth.
  nlohmann::json heatmap = {{"format", "spearfish-heatmap"},
                            {"version", 1},
                            {"moe_layers", 4},
                            {"experts", 16},
                            {"tokens", 100},
                            {"model", "x"},
                            {"identity", identity}};
  for (int layer = 0; layer < 4; ++layer) {
    heatmap["counts"].push_back(std::vector<int>(16, layer == 2 ? 50 : 0));
  }
  const std::string path = folder_.File("heat.json");
  std::ofstream(path) << heatmap;
  const auto worker = Start("w", {"--max-coverage=0.25", "--heatmap=" + path});
  const v1::ExpertCacheStats stats = CacheStats(*worker);
  EXPECT_EQ(stats.coverage(), 0.25);
  ASSERT_EQ(stats.layers_size(), 4);
  for (int layer = 0; layer < 4; ++layer) {
    EXPECT_EQ(stats.layers(layer).resident(), layer == 2 ? 16u : 0u) << layer;
  }
}

}  // namespace
}  // namespace spearfish::worker
