#include "worker/rpc/engine_link.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "tests/unit/worker/rpc/fake_engine.h"

namespace spearfish::worker {
namespace {

GenerationRequest Request(uint32_t num_sequences = 1) {
  GenerationRequest request;
  request.request_id = std::string("a");  // g++ 12 warns of a literal here
  request.prompt = {1};
  request.num_sequences = num_sequences;
  return request;
}

TEST(EngineLink, CancelBeforeSubmitKeepsItFromTheEngine) {
  FakeEngine engine;
  EngineLink link;
  link.Cancel();
  EXPECT_EQ(link.Submit(engine, Request(), [](const EngineEvent&) {}).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(engine.num_submitted(), 0u);
}

TEST(EngineLink, CancelAfterTheEndAbortsNobody) {
  EngineLink link;
  absl::Notification ended;
  FakeEngine engine;  // last: its thread uses the others
  ASSERT_TRUE(link.Submit(engine, Request(),
                          [&](const EngineEvent& event) {
                            if (link.Observe(event)) ended.Notify();
                          })
                  .ok());
  engine.EmitFinish("a");
  ended.WaitForNotification();
  // Another caller's request takes the id over; it must survive.
  EngineLink other;
  ASSERT_TRUE(other.Submit(engine, Request(), [](const EngineEvent&) {}).ok());
  link.Cancel();
  EXPECT_EQ(engine.num_live(), 1u);
}

TEST(EngineLink, ObserveTellsTheLastEvent) {
  FakeEngine engine;
  EngineLink link;
  ASSERT_TRUE(link.Submit(engine, Request(2), [](const EngineEvent&) {}).ok());
  EXPECT_FALSE(link.Observe(PromptDone{}));
  EXPECT_FALSE(link.Observe(SequenceFinished{}));
  EXPECT_FALSE(link.Observe(TokensDelta{}));
  EXPECT_TRUE(link.Observe(SequenceFinished{}));
}

TEST(EngineLink, AFailureIsTheLastEvent) {
  FakeEngine engine;
  EngineLink link;
  ASSERT_TRUE(link.Submit(engine, Request(2), [](const EngineEvent&) {}).ok());
  EXPECT_TRUE(link.Observe(RequestFailed{absl::InternalError("x")}));
}

TEST(EngineLink, ACancelRacingSubmitIsNeverLost) {
  for (int i = 0; i < 200; ++i) {
    EngineLink link;
    FakeEngine engine;  // last: its thread uses the link
    std::thread cancel([&] { link.Cancel(); });
    const absl::Status status =
        link.Submit(engine, Request(), [&](const EngineEvent& e) { link.Observe(e); });
    cancel.join();
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kCancelled);
    EXPECT_TRUE(engine.WaitIdle(absl::InfiniteDuration()));
  }
}

}  // namespace
}  // namespace spearfish::worker
