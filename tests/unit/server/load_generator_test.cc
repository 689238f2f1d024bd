#include "server/cli/load_generator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "server/cli/client.h"
#include "tests/unit/server/fake_worker.h"

namespace spearfish::server::cli {
namespace {

class LoadGeneratorTest : public ::testing::Test {
 protected:
  std::shared_ptr<grpc::Channel> ConnectApart() {
    auto channel = Connect({.endpoint = worker_.address()}, Connections::kApart);
    EXPECT_TRUE(channel.ok()) << channel.status();
    EXPECT_TRUE(
        (*channel)->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60)));
    return *std::move(channel);
  }
  LoadGenerator Make() {
    return LoadGenerator(
        {ConnectApart(), ConnectApart()},
        [this](uint32_t index) {
          num_made_ += 1;
          v1::GenerateStreamRequest request;
          request.mutable_token_ids()->add_ids(index);
          return request;
        },
        absl::Seconds(60));
  }
  void ExpectAllWell(const std::vector<StreamOutcome>& outcomes) {
    for (const StreamOutcome& outcome : outcomes) {
      EXPECT_EQ(outcome.code, grpc::StatusCode::OK);
      EXPECT_EQ(outcome.generated_tokens, 3u);
      EXPECT_EQ(outcome.gaps.size(), 2u);
      EXPECT_GE(outcome.whole, outcome.first_token);
    }
  }

  FakeWorker worker_;
  std::atomic<uint32_t> num_made_ = 0;
};

TEST_F(LoadGeneratorTest, ClosedLoopRunsThemAll) {
  LoadGenerator generator = Make();
  const std::vector<StreamOutcome> outcomes = generator.RunClosed(20, 3);
  ASSERT_EQ(outcomes.size(), 20u);
  EXPECT_EQ(num_made_, 20u);
  EXPECT_EQ(worker_.calls, 20);
  ExpectAllWell(outcomes);
}

TEST_F(LoadGeneratorTest, OpenLoopBeginsEachAtItsTime) {
  LoadGenerator generator = Make();
  const std::vector<StreamOutcome> outcomes = generator.RunOpen(
      {absl::ZeroDuration(), absl::Milliseconds(1), absl::Milliseconds(1), absl::Milliseconds(5)});
  ASSERT_EQ(outcomes.size(), 4u);
  ExpectAllWell(outcomes);
}

TEST_F(LoadGeneratorTest, FailuresAreOutcomes) {
  worker_.failure = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
  worker_.fail_after_messages = 0;
  LoadGenerator generator = Make();
  for (const StreamOutcome& outcome : generator.RunClosed(5, 5)) {
    EXPECT_EQ(outcome.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(outcome.generated_tokens, 0u);
    EXPECT_EQ(outcome.first_token, absl::InfiniteDuration());
  }
}

}  // namespace
}  // namespace spearfish::server::cli
