#include "common/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>

namespace spearfish {
namespace {

using ::testing::HasSubstr;

// The whole answer to one GET.
std::string Scrape(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, got);
  close(fd);
  return answer;
}

TEST(MetricsServer, ShowsWhatCollectSaysAtEachScrape) {
  std::atomic<int> hits = 41;
  const auto server = MetricsServer::Start("127.0.0.1:0", [&hits] {
    return std::vector<Metric>{
        {.name = "spearfish_expert_hits_total",
         .help = "Routed activations that a slot served",
         .type = MetricType::kCounter,
         .samples = {{.labels = {{"layer", "3"}}, .value = static_cast<double>(++hits)}}},
        {.name = "spearfish_expert_coverage_ratio",
         .help = "Resident experts over all experts",
         .samples = {{.labels = {}, .value = 0.5}}}};
  });
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string first = Scrape((*server)->port());
  EXPECT_THAT(first, HasSubstr("# TYPE spearfish_expert_hits_total counter"));
  EXPECT_THAT(first, HasSubstr("spearfish_expert_hits_total{layer=\"3\"} 42"));
  EXPECT_THAT(first, HasSubstr("spearfish_expert_coverage_ratio 0.5"));
  EXPECT_THAT(Scrape((*server)->port()), HasSubstr("{layer=\"3\"} 43"));
}

TEST(MetricsServer, RefusesAnAddressThatIsTaken) {
  const auto collect = [] { return std::vector<Metric>(); };
  const auto first = MetricsServer::Start("127.0.0.1:0", collect);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second =
      MetricsServer::Start("127.0.0.1:" + std::to_string((*first)->port()), collect);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--metrics-port"));
}

}  // namespace
}  // namespace spearfish
