#include "server/dispatch/dispatch_policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace spearfish::server {
namespace {

TEST(PickLeastLoaded, NothingWithoutAReadyWorker) {
  EXPECT_EQ(PickLeastLoaded({}, 0), std::nullopt);
  const std::vector<WorkerCandidate> none = {{.ready = false}, {.ready = true, .excluded = true}};
  EXPECT_EQ(PickLeastLoaded(none, 0), std::nullopt);
}

TEST(PickLeastLoaded, TakesTheLargerOfInFlightAndReported) {
  const std::vector<WorkerCandidate> candidates = {{.ready = true, .in_flight = 1, .reported = 9},
                                                   {.ready = true, .in_flight = 5, .reported = 0},
                                                   {.ready = true, .in_flight = 6, .reported = 6}};
  for (uint64_t turn = 0; turn < 3; ++turn) EXPECT_EQ(PickLeastLoaded(candidates, turn), 1u);
}

TEST(PickLeastLoaded, SpreadsTiesByTurn) {
  const std::vector<WorkerCandidate> idle(3, WorkerCandidate{.ready = true});
  EXPECT_EQ(PickLeastLoaded(idle, 0), 0u);
  EXPECT_EQ(PickLeastLoaded(idle, 1), 1u);
  EXPECT_EQ(PickLeastLoaded(idle, 5), 2u);
}

TEST(PickLeastLoaded, SkipsWhatWasTried) {
  const std::vector<WorkerCandidate> candidates = {{.ready = true, .excluded = true},
                                                   {.ready = true, .in_flight = 100}};
  EXPECT_EQ(PickLeastLoaded(candidates, 0), 1u);
}

}  // namespace
}  // namespace spearfish::server
