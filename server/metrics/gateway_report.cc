#include "server/metrics/gateway_report.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "common/base/version.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/process_metrics.h"

namespace spearfish::server {
namespace {

constexpr std::array<const char*, 4> kFinishReasons = {"unspecified", "stop", "length", "aborted"};
constexpr std::array<const char*, 3> kBreakerStates = {"closed", "open", "half_open"};

void AddRequests(const GatewayMetrics& counted, MetricList& out) {
  out.Add("spearfish_gateway_requests_total", "Requests answered, by method and status",
          MetricType::kCounter);
  for (size_t method = 0; method < counted.requests.size(); ++method) {
    for (size_t code = 0; code < counted.requests[method].size(); ++code) {
      const uint64_t count = counted.requests[method][code].value();
      // Most pairs never come; OK is always there, so that rates begin at 0.
      if (count == 0 && code != 0) continue;
      out.Sample({{"method", kMethodNames[method]},
                  {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}},
                 count);
    }
  }
  out.Add("spearfish_gateway_rejections_total",
          "Requests refused without a worker having seen them, by reason", MetricType::kCounter);
  for (size_t i = 0; i < counted.rejections.size(); ++i) {
    out.Sample({{"reason", kRejectionNames[i]}}, counted.rejections[i].value());
  }
}

void AddTimes(const GatewayMetrics& counted, MetricList& out) {
  out.Histogram("spearfish_gateway_queue_seconds",
                "From arrival to admission, of the requests that were admitted",
                counted.queue.value());
  out.Histogram("spearfish_gateway_time_to_first_token_seconds",
                "From arrival to the first token, of streams", counted.first_token.value());
  out.Histogram("spearfish_gateway_inter_token_seconds",
                "Between two tokens of a sequence, of streams; tokens of one message share its gap",
                counted.inter_token.value());
  out.Histogram("spearfish_gateway_request_seconds",
                "From arrival to the end, of generations that ended well", counted.whole.value());
}

void AddTokens(const GatewayMetrics& counted, MetricList& out) {
  out.Counter("spearfish_gateway_prompt_tokens_total", "Prompt tokens of requests, once each",
              counted.prompt_tokens.value());
  out.Counter("spearfish_gateway_generated_tokens_total", "Tokens delivered",
              counted.generated_tokens.value());
  out.Add("spearfish_gateway_sequences_finished_total", "Sequences that ended, by how",
          MetricType::kCounter);
  for (size_t i = 1; i < kFinishReasons.size(); ++i) {
    out.Sample({{"reason", kFinishReasons[i]}}, counted.finish_reasons[i].value());
  }
}

void AddAttempts(const GatewayMetrics& counted, MetricList& out) {
  out.Counter("spearfish_gateway_attempts_total", "Requests sent to a worker",
              counted.attempts.value());
  out.Counter("spearfish_gateway_attempts_lost_total", "Of them, those that a worker did not end",
              counted.attempts_lost.value());
  out.Counter("spearfish_gateway_retries_total",
              "Requests sent again before the client had anything", counted.retries.value());
  out.Counter("spearfish_gateway_resumptions_total",
              "Streams that went on at another worker after that", counted.resumptions.value());
  // Ended first: what ends in between must not count as fewer than none.
  const uint64_t ended = counted.streams_ended.value();
  out.Gauge("spearfish_gateway_streams_open", "GenerateStream calls, waiting ones too",
            counted.streams_begun.value() - ended);
}

void AddWorkers(const GatewayFigures& now, MetricList& out) {
  const auto each = [&](auto value) {
    for (const WorkerFigures& worker : now.workers) {
      out.Sample({{"worker", worker.load.address()}}, value(worker.load));
    }
  };
  out.Gauge("spearfish_gateway_workers_known", "Workers", now.workers.size());
  out.Gauge("spearfish_gateway_workers_ready", "Of them, those that are ready",
            std::count_if(now.workers.begin(), now.workers.end(),
                          [](const WorkerFigures& worker) { return worker.load.ready(); }));
  out.Add("spearfish_gateway_worker_ready", "1 if it may get requests", MetricType::kGauge);
  each([](const v1::WorkerLoad& load) { return load.ready() ? 1 : 0; });
  out.Add("spearfish_gateway_worker_in_flight", "Sequences of this gateway at the worker",
          MetricType::kGauge);
  each([](const v1::WorkerLoad& load) { return load.in_flight(); });
  out.Add("spearfish_gateway_worker_running", "Sequences in its batch, as it last reported",
          MetricType::kGauge);
  each([](const v1::WorkerLoad& load) { return load.running_sequences(); });
  out.Add("spearfish_gateway_worker_waiting", "Sequences that wait there, as it last reported",
          MetricType::kGauge);
  each([](const v1::WorkerLoad& load) { return load.waiting_sequences(); });
  out.Add("spearfish_gateway_worker_breaker", "1 for the state of its circuit breaker",
          MetricType::kGauge);
  for (const WorkerFigures& worker : now.workers) {
    for (size_t state = 0; state < kBreakerStates.size(); ++state) {
      out.Sample({{"worker", worker.load.address()}, {"state", kBreakerStates[state]}},
                 static_cast<size_t>(worker.breaker) == state ? 1 : 0);
    }
  }
}

}  // namespace

std::vector<Metric> GatewayReport(const GatewayMetrics& counted, const GatewayFigures& now) {
  MetricList out;
  out.Add("spearfish_gateway_info", "1", MetricType::kGauge);
  out.Sample({{"version", kVersion}}, 1);
  out.Gauge("spearfish_gateway_ready", "1 while the health service says SERVING",
            now.ready ? 1 : 0);
  AddProcessMetrics(out);
  AddRequests(counted, out);
  AddTimes(counted, out);
  AddTokens(counted, out);
  AddAttempts(counted, out);
  out.Gauge("spearfish_gateway_queue_length", "Requests that wait to be admitted",
            now.queue_length);
  out.Gauge("spearfish_gateway_admitted_sequences", "Sequences of the requests that are admitted",
            now.running_sequences);
  AddWorkers(now, out);
  return out.Take();
}

}  // namespace spearfish::server
