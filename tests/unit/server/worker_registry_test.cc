#include "server/dispatch/worker_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/rpc/channel_security.h"
#include "server/dispatch/worker_discovery.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_authority.h"

namespace spearfish::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::WorkerLoad Ready(uint32_t running = 0) {
  v1::WorkerLoad load;
  load.set_ready(true);
  load.set_running_sequences(running);
  return load;
}

class WorkerRegistryTest : public ::testing::Test {
 protected:
  void Report(WorkerId id, const v1::WorkerLoad& load) {
    registry_.Report(id, load, registry_.ReportTimeOf(id));
  }
  void ReportAllReady() {
    for (const auto& worker : registry_.Connections()) Report(worker->id, Ready());
  }
  std::string Pick(const std::vector<WorkerId>& tried = {}) {
    const auto lease = registry_.Acquire({}, tried);
    return lease.ok() ? lease->worker().address : std::string(lease.status().message());
  }

  absl::Time now_ = absl::UnixEpoch();
  // Nothing listens there; channels don't connect before they are used.
  std::unique_ptr<ChannelSecurity> plain_ = *ChannelSecurity::Create({});
  WorkerRegistry registry_{
      {"127.0.0.1:1", "127.0.0.1:2"}, {.clock = [this] { return now_; }}, *plain_};
};

TEST_F(WorkerRegistryTest, LeasesCountAsLoad) {
  ReportAllReady();
  const auto first = registry_.Acquire({.num_sequences = 3}, {});
  ASSERT_TRUE(first.ok());
  const auto second = registry_.Acquire({.num_sequences = 2}, {});
  ASSERT_TRUE(second.ok());
  EXPECT_NE(first->worker().id, second->worker().id);
  EXPECT_EQ(registry_.ReportTimeOf(first->worker().id).in_flight, 3u);
  EXPECT_EQ(Pick(), second->worker().address);
}

TEST_F(WorkerRegistryTest, ConnectsAnewWithNewCredentialsAndLetsOldOnesEnd) {
  const tests::TempDir folder;
  const auto put = [&folder](const std::string& name) {
    std::ofstream(folder.File("fresh")) << tests::TestAuthority(name).certificate();
    std::filesystem::rename(folder.File("fresh"), folder.File("ca"));
  };
  put("first");
  const auto security = *ChannelSecurity::Create(
      {.files = {.authorities = folder.File("ca"), .look_interval = absl::ZeroDuration()}});
  WorkerRegistry registry({"127.0.0.1:1"}, {}, *security);
  const WorkerId before = registry.Connections()[0]->id;
  registry.Report(before, Ready(), {});
  const auto lease = registry.Acquire({}, {});
  ASSERT_TRUE(lease.ok());
  registry.RenewConnections();
  EXPECT_EQ(registry.Connections()[0]->id, before);
  put("the second one");
  registry.RenewConnections();
  const auto renewed = registry.Connections();
  ASSERT_EQ(renewed.size(), 1u);
  EXPECT_NE(renewed[0]->id, before);
  EXPECT_EQ(renewed[0]->address, "127.0.0.1:1");
  EXPECT_EQ(registry.num_ready(), 1u);
  registry.Sweep();
  EXPECT_EQ(lease->worker().id, before);  // still there: it has a lease
}

TEST_F(WorkerRegistryTest, OurOwnAreNotCountedTwiceInAReport) {
  ReportAllReady();
  const WorkerId a = registry_.Connections()[0]->id;
  const WorkerId b = registry_.Connections()[1]->id;
  std::vector<WorkerLease> ours;
  for (int i = 0; i < 4; ++i) ours.push_back(*registry_.Acquire({}, {b}));
  Report(a, Ready(4));  // all of them ours
  Report(b, Ready(5));  // others'
  EXPECT_EQ(Pick(), "127.0.0.1:1");
}

TEST_F(WorkerRegistryTest, AFailedWorkerIsNotReadyUntilItsNextReport) {
  ReportAllReady();
  WorkerId failed{};
  {
    auto lease = registry_.Acquire({}, {});
    failed = lease->worker().id;
    lease->Failed();
  }
  EXPECT_EQ(registry_.num_ready(), 1u);
  Report(failed, Ready());
  EXPECT_EQ(registry_.num_ready(), 2u);
}

TEST_F(WorkerRegistryTest, AReportFromBeforeAFailureSaysNothing) {
  ReportAllReady();
  auto lease = registry_.Acquire({}, {});
  const WorkerId failed = lease->worker().id;
  const ReportTime asked = registry_.ReportTimeOf(failed);
  lease->Failed();
  registry_.Report(failed, Ready(), asked);
  EXPECT_EQ(registry_.num_ready(), 1u);
  Report(failed, Ready());
  EXPECT_EQ(registry_.num_ready(), 2u);
}

TEST_F(WorkerRegistryTest, AvoidsAnOpenBreakerWhileThereIsAnother) {
  const WorkerId bad = registry_.Connections()[0]->id;
  const WorkerId good = registry_.Connections()[1]->id;
  for (int i = 0; i < 3; ++i) {
    ReportAllReady();
    registry_.Acquire({}, {good})->Failed();
  }
  ReportAllReady();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Pick(), "127.0.0.1:2");
  EXPECT_EQ(Pick({good}), "127.0.0.1:1") << "better than refusing";
  now_ += absl::Seconds(1);
  auto trial = registry_.Acquire({}, {good});
  EXPECT_EQ(trial->worker().id, bad);
  trial->Succeeded();
}

TEST_F(WorkerRegistryTest, TheEndOfAnOldRequestIsNotThatOfTheTrial) {
  const WorkerId good = registry_.Connections()[1]->id;
  ReportAllReady();
  auto old = std::make_unique<WorkerLease>(*registry_.Acquire({}, {good}));
  for (int i = 0; i < 3; ++i) {
    ReportAllReady();
    registry_.Acquire({}, {good})->Failed();
  }
  ReportAllReady();
  now_ += absl::Seconds(1);
  const auto trial = registry_.Acquire({}, {good});
  old.reset();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Pick(), "127.0.0.1:2");
}

TEST_F(WorkerRegistryTest, OneLateReportIsChance) {
  ReportAllReady();
  const WorkerId first = registry_.Connections()[0]->id;
  registry_.ReportLate(first);
  EXPECT_EQ(registry_.num_ready(), 2u);
  Report(first, Ready());
  registry_.ReportLate(first);
  EXPECT_EQ(registry_.num_ready(), 2u);
  registry_.ReportLate(first);
  EXPECT_EQ(registry_.num_ready(), 1u);
}

TEST_F(WorkerRegistryTest, WorkersComeAndGoWhileTheyServe) {
  ReportAllReady();
  const WorkerId kept = registry_.Connections()[1]->id;
  const auto running = registry_.Acquire({}, {kept});  // at the one that leaves
  registry_.SetWorkers({"127.0.0.1:2", "127.0.0.1:3"});
  EXPECT_EQ(registry_.Connections()[0]->id, kept);
  EXPECT_EQ(registry_.size(), 2u);
  EXPECT_EQ(registry_.num_ready(), 1u);
  registry_.Sweep();
  EXPECT_EQ(running->worker().address, "127.0.0.1:1") << "lives as long as its lease";
  registry_.SetWorkers({});
  EXPECT_THAT(Pick(), HasSubstr("no worker is ready: 0 known"));
}

TEST_F(WorkerRegistryTest, CapacityIsThatOfTheReady) {
  EXPECT_EQ(registry_.capacity(), 0u);
  v1::WorkerLoad load = Ready();
  load.set_max_running_sequences(8);
  Report(registry_.Connections()[0]->id, load);
  EXPECT_EQ(registry_.capacity(), 8u);
  Report(registry_.Connections()[1]->id, Ready());
  EXPECT_EQ(registry_.capacity(), 72u);
}

TEST(ParseWorkersFile, TakesOneAddressALine) {
  EXPECT_THAT(*ParseWorkersFile("# all\n a:1 \n\nunix:/b # local\r\ndns:///c:2"),
              ElementsAre("a:1", "unix:/b", "dns:///c:2"));
  EXPECT_THAT(ParseWorkersFile("a:1\nb c:2").status().message(), HasSubstr("line 2"));
  EXPECT_THAT(ParseWorkersFile("a").status().message(), HasSubstr("line 1"));
  EXPECT_FALSE(ParseWorkersFile("# none\n").ok());
}

TEST(ResolveWorkers, GivesNumericAddresses) {
  EXPECT_THAT(*ResolveWorkers("dns:///127.0.0.1:50"), ElementsAre("ipv4:127.0.0.1:50"));
  EXPECT_FALSE(ResolveWorkers("dns:///nameonly").ok());
}

}  // namespace
}  // namespace spearfish::server
