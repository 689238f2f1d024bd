#include "server/dispatch/dispatch_policy.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server/dispatch/route_key.h"

namespace spearfish::server {
namespace {

std::vector<WorkerCandidate> Idle(size_t count) {
  std::vector<WorkerCandidate> candidates;
  for (size_t i = 0; i < count; ++i) {
    candidates.push_back({.ready = true, .hash = HashBytes("worker-" + std::to_string(i))});
  }
  return candidates;
}

TEST(EstimateLoad, AddsOthersToWhatIsOurs) {
  EXPECT_EQ(EstimateLoad(0, 0, 0), 0u);
  EXPECT_EQ(EstimateLoad(9, 4, 6), 11u);  // 5 of others, 6 of ours now
  EXPECT_EQ(EstimateLoad(2, 5, 1), 1u);   // some of ours had not arrived when it was asked
}

TEST(PickWorker, NothingWithoutAReadyWorker) {
  const std::vector<WorkerCandidate> none = {{.ready = false}, {.ready = true, .excluded = true}};
  for (const DispatchPolicy policy :
       {DispatchPolicy::kLeastWork, DispatchPolicy::kPowerOfTwo, DispatchPolicy::kPrefixAffinity}) {
    EXPECT_EQ(PickWorker(policy, {}, {.affinity_key = 1}), std::nullopt);
    EXPECT_EQ(PickWorker(policy, none, {.affinity_key = 1}), std::nullopt);
  }
}

TEST(PickWorker, AffinityWithoutAKeyIsLeastWork) {
  std::vector<WorkerCandidate> candidates = Idle(3);
  candidates[0].load = candidates[2].load = 1;
  EXPECT_EQ(PickWorker(DispatchPolicy::kSessionAffinity, candidates, {}), 1u);
}

TEST(PickLeastWork, ComparesLoadPerCapacity) {
  const std::vector<WorkerCandidate> candidates = {{.ready = true, .load = 8, .capacity = 64},
                                                   {.ready = true, .load = 2, .capacity = 8},
                                                   {.ready = true, .load = 7, .capacity = 64}};
  for (uint64_t turn = 0; turn < 3; ++turn) EXPECT_EQ(PickLeastWork(candidates, turn), 2u);
}

TEST(PickLeastWork, SpreadsTiesByTurn) {
  const std::vector<WorkerCandidate> idle = Idle(3);
  EXPECT_EQ(PickLeastWork(idle, 0), 0u);
  EXPECT_EQ(PickLeastWork(idle, 1), 1u);
  EXPECT_EQ(PickLeastWork(idle, 5), 2u);
}

TEST(PickLeastWork, SkipsWhatWasTried) {
  const std::vector<WorkerCandidate> candidates = {{.ready = true, .excluded = true},
                                                   {.ready = true, .load = 100}};
  EXPECT_EQ(PickLeastWork(candidates, 0), 1u);
}

TEST(PickPowerOfTwo, TakesTheLessLoadedOfTwoDifferentOnes) {
  std::vector<WorkerCandidate> candidates = Idle(3);
  candidates[1].load = 5;
  std::map<size_t, int> picked;
  for (uint64_t i = 0; i < 3; ++i) {
    for (uint64_t j = 0; j < 2; ++j) ++picked[*PickPowerOfTwo(candidates, (i << 32) | j)];
  }
  // Any pair holds an idle one.
  EXPECT_EQ(picked.size(), 2u);
  EXPECT_FALSE(picked.contains(1));
}

TEST(PickPowerOfTwo, TakesTheOnlyOne) {
  std::vector<WorkerCandidate> candidates = Idle(3);
  candidates[0].ready = candidates[2].ready = false;
  EXPECT_EQ(PickPowerOfTwo(candidates, 0x1234567887654321), 1u);
}

TEST(PickByKey, KeepsAKeyAtItsWorkerWhileOthersComeAndGo) {
  const std::vector<WorkerCandidate> all = Idle(4);
  std::map<size_t, int> keys_of;
  for (uint64_t key = 1; key <= 400; ++key) {
    const size_t home = *PickByKey(all, key, 1.25);
    ++keys_of[home];
    std::vector<WorkerCandidate> fewer = all;
    const size_t other = (home + 1) % 4;
    fewer[other].ready = false;
    EXPECT_EQ(PickByKey(fewer, key, 1.25), home);
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_GT(keys_of[i], 60) << i;
}

TEST(PickByKey, LeavesAWorkerThatHasMoreThanItsShare) {
  std::vector<WorkerCandidate> candidates = Idle(4);
  const size_t home = *PickByKey(candidates, 7, 1.25);
  for (WorkerCandidate& candidate : candidates) candidate.load = 8;
  EXPECT_EQ(PickByKey(candidates, 7, 1.25), home);
  candidates[home].load = 20;
  const size_t second = *PickByKey(candidates, 7, 1.25);
  EXPECT_NE(second, home);
  EXPECT_EQ(PickByKey(candidates, 7, 4), home);
}

TEST(PickByKey, HoldsTheBoundWhenEveryRequestIsAlike) {
  std::vector<WorkerCandidate> candidates = Idle(5);
  for (int i = 0; i < 100; ++i) ++candidates[*PickByKey(candidates, 42, 1.25)].load;
  for (const WorkerCandidate& candidate : candidates) EXPECT_LE(candidate.load, 25u);
}

TEST(ParseDispatchPolicy, KnowsItsNames) {
  EXPECT_EQ(*ParseDispatchPolicy("power-of-two"), DispatchPolicy::kPowerOfTwo);
  EXPECT_FALSE(ParseDispatchPolicy("random").ok());
}

TEST(AffinityKey, IsThatOfTheBeginningOrTheSession) {
  v1::GenerateRequest a;
  EXPECT_EQ(AffinityKey(DispatchPolicy::kPrefixAffinity, a), 0u);
  for (uint32_t id = 0; id < kPrefixTokens; ++id) a.mutable_token_ids()->add_ids(id);
  v1::GenerateRequest b = a;
  b.mutable_token_ids()->add_ids(9);
  EXPECT_EQ(AffinityKey(DispatchPolicy::kPrefixAffinity, a),
            AffinityKey(DispatchPolicy::kPrefixAffinity, b));
  b.mutable_token_ids()->set_ids(3, 9);
  EXPECT_NE(AffinityKey(DispatchPolicy::kPrefixAffinity, a),
            AffinityKey(DispatchPolicy::kPrefixAffinity, b));
  EXPECT_EQ(AffinityKey(DispatchPolicy::kSessionAffinity, a), 0u);
  a.set_session_id("s");
  EXPECT_EQ(AffinityKey(DispatchPolicy::kSessionAffinity, a), HashBytes("s"));
  EXPECT_EQ(AffinityKey(DispatchPolicy::kLeastWork, a), 0u);
}

}  // namespace
}  // namespace spearfish::server
