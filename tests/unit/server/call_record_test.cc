#include "server/metrics/call_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "server/metrics/gateway_report.h"

namespace spearfish::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::GenerateStreamResponse Delta(uint32_t index, int num_tokens) {
  v1::GenerateStreamResponse message;
  message.mutable_delta()->set_index(index);
  for (int i = 0; i < num_tokens; ++i) message.mutable_delta()->add_token_ids(1);
  return message;
}

v1::GenerateStreamResponse Finish(v1::FinishReason reason) {
  v1::GenerateStreamResponse message;
  message.mutable_finish()->set_finish_reason(reason);
  return message;
}

v1::GenerateStreamResponse PromptInfo(uint32_t num_tokens) {
  v1::GenerateStreamResponse message;
  message.mutable_prompt_info()->set_num_prompt_tokens(num_tokens);
  return message;
}

uint64_t Requests(const GatewayMetrics& metrics, Method method, grpc::StatusCode code) {
  return metrics.requests[static_cast<size_t>(method)][code].value();
}

TEST(CallRecord, CountsTokensAndTheGapsBetweenThoseOfASequence) {
  Telemetry telemetry;
  CallRecord record(telemetry, Method::kGenerateStream, 2);
  record.Admitted();
  record.Note(PromptInfo(5));
  for (const auto& [index, tokens] : {std::pair(0u, 1), {1u, 2}, {0u, 1}, {0u, 3}, {1u, 0}}) {
    record.Note(Delta(index, tokens));
  }
  record.Note(Finish(v1::FINISH_REASON_STOP));
  record.Note(Finish(v1::FINISH_REASON_LENGTH));
  record.Finished(grpc::Status::OK);
  const GatewayMetrics& metrics = telemetry.metrics;
  EXPECT_EQ(metrics.prompt_tokens.value(), 5u);
  EXPECT_EQ(metrics.generated_tokens.value(), 7u);
  EXPECT_EQ(metrics.first_token.value().count(), 1u);
  EXPECT_EQ(metrics.inter_token.value().count(), 5u);  // 4 of sequence 0
  EXPECT_EQ(metrics.whole.value().count(), 1u);
  EXPECT_EQ(metrics.queue.value().count(), 1u);
  EXPECT_EQ(metrics.finish_reasons[v1::FINISH_REASON_STOP].value(), 1u);
  EXPECT_EQ(Requests(metrics, Method::kGenerateStream, grpc::StatusCode::OK), 1u);
}

TEST(CallRecord, CountsAUnaryAnswerWhole) {
  Telemetry telemetry;
  CallRecord record(telemetry, Method::kGenerate, 1);
  v1::GenerateResponse response;
  response.mutable_prompt_info()->set_num_prompt_tokens(3);
  response.add_sequences()->mutable_output()->add_token_ids(4);
  response.mutable_sequences(0)->mutable_finish()->set_finish_reason(v1::FINISH_REASON_LENGTH);
  record.Note(response);
  record.Finished(grpc::Status::OK);
  EXPECT_EQ(telemetry.metrics.prompt_tokens.value(), 3u);
  EXPECT_EQ(telemetry.metrics.generated_tokens.value(), 1u);
  EXPECT_EQ(telemetry.metrics.finish_reasons[v1::FINISH_REASON_LENGTH].value(), 1u);
  EXPECT_EQ(telemetry.metrics.streams_begun.value(), 0u);
}

TEST(CallRecord, TellsRetriesFromResumptions) {
  Telemetry telemetry;
  CallRecord record(telemetry, Method::kGenerateStream, 1);
  record.AttemptStarted("a", false);
  record.AttemptLost();
  record.AttemptStarted("b", false);
  record.AttemptLost();
  record.AttemptStarted("c", true);
  EXPECT_EQ(telemetry.metrics.attempts.value(), 3u);
  EXPECT_EQ(telemetry.metrics.attempts_lost.value(), 2u);
  EXPECT_EQ(telemetry.metrics.retries.value(), 1u);
  EXPECT_EQ(telemetry.metrics.resumptions.value(), 1u);
}

TEST(CallRecord, AStreamIsOpenAsLongAsItsRecord) {
  Telemetry telemetry;
  const auto num_open = [&] {
    return telemetry.metrics.streams_begun.value() - telemetry.metrics.streams_ended.value();
  };
  {
    CallRecord record(telemetry, Method::kGenerateStream, 1);
    const CallRecord moved = std::move(record);
    EXPECT_EQ(num_open(), 1u);
  }
  EXPECT_EQ(num_open(), 0u);
}

TEST(CallRecord, OnlyGoodAnswersHaveATime) {
  Telemetry telemetry;
  CallRecord(telemetry, Method::kGenerate).Finished({grpc::StatusCode::UNAVAILABLE, "gone"});
  CallRecord(telemetry, Method::kTokenize).Finished(grpc::Status::OK);
  EXPECT_EQ(telemetry.metrics.whole.value().count(), 0u);
  EXPECT_EQ(Requests(telemetry.metrics, Method::kGenerate, grpc::StatusCode::UNAVAILABLE), 1u);
  EXPECT_EQ(Requests(telemetry.metrics, Method::kTokenize, grpc::StatusCode::OK), 1u);
}

TEST(CallRecord, WritesALineWhenAskedTo) {
  InitLog("gateway", LogLevel::kInfo, LogFormat::kJson);
  Telemetry telemetry;
  telemetry.log_requests = true;
  ::testing::internal::CaptureStderr();
  {
    CallRecord record(telemetry, Method::kGenerateStream, 1);
    ASSERT_TRUE(record.wants_identity());
    record.set_identity({.request_id = "r-1", .client = "id:alice", .trace_id = "abc"});
    record.AttemptStarted("unix:/w0", false);
    record.AttemptStarted("unix:/w1", true);
    record.Note(Delta(0, 2));
    record.Finished({grpc::StatusCode::DEADLINE_EXCEEDED, "the message is not told"});
  }
  const std::string line = ::testing::internal::GetCapturedStderr();
  InitLog("");
  for (const char* part :
       {"\"method\":\"GenerateStream\"", "\"request_id\":\"r-1\"", "\"trace_id\":\"abc\"",
        "\"client\":\"id:alice\"", "\"worker\":\"unix:/w1\"", "\"status\":\"DEADLINE_EXCEEDED\"",
        "\"generated_tokens\":2", "\"attempts\":2", "\"resumptions\":1", "\"total_ms\":"}) {
    EXPECT_THAT(line, HasSubstr(part));
  }
  EXPECT_THAT(line, Not(HasSubstr("not told")));
}

TEST(GatewayReport, ShowsWorkersAndTheirBreakers) {
  const GatewayMetrics counted;
  GatewayFigures now;
  now.workers.resize(2);
  now.workers[0].load.set_address("a:1");
  now.workers[0].load.set_ready(true);
  now.workers[0].load.set_in_flight(7);
  now.workers[1].load.set_address("b:2");
  now.workers[1].breaker = BreakerState::kOpen;
  now.queue_length = 3;
  const auto value = [metrics = GatewayReport(counted, now)](const std::string& name,
                                                             const MetricLabels& labels) {
    for (const Metric& metric : metrics) {
      for (const MetricSample& sample : metric.samples) {
        if (metric.name == name && sample.labels == labels) return sample.value;
      }
    }
    return -1.0;
  };
  EXPECT_EQ(value("spearfish_gateway_workers_known", {}), 2);
  EXPECT_EQ(value("spearfish_gateway_workers_ready", {}), 1);
  EXPECT_EQ(value("spearfish_gateway_worker_in_flight", {{"worker", "a:1"}}), 7);
  EXPECT_EQ(value("spearfish_gateway_worker_breaker", {{"worker", "b:2"}, {"state", "open"}}), 1);
  EXPECT_EQ(value("spearfish_gateway_worker_breaker", {{"worker", "b:2"}, {"state", "closed"}}), 0);
  EXPECT_EQ(value("spearfish_gateway_queue_length", {}), 3);
  EXPECT_EQ(value("spearfish_gateway_rejections_total", {{"reason", "queue_full"}}), 0);
}

}  // namespace
}  // namespace spearfish::server
