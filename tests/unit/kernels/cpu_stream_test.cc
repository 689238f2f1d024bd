#include "kernels/cpu/cpu_stream.h"

#include <algorithm>
#include <latch>
#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_event.h"

namespace spearfish::kernels {
namespace {

// Blocks a stream until it is opened.
class Gate {
 public:
  void Block(CpuStream& stream) {
    stream.Enqueue([this] { open_.wait(); });
  }
  void Open() { open_.count_down(); }

 private:
  std::latch open_{1};
};

TEST(CpuStreamTest, RunsInOrder) {
  CpuStream stream("test");
  std::vector<int> order;  // plain: only the stream's thread writes, Synchronize publishes
  for (int i = 0; i < 10000; ++i) stream.Enqueue([&order, i] { order.push_back(i); });
  stream.Synchronize();
  std::vector<int> expected(10000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

TEST(CpuStreamTest, EnqueueReturnsWhileTheStreamIsBlocked) {
  CpuStream stream("test");
  Gate gate;
  gate.Block(stream);
  std::vector<char> source(1000, 7);
  std::vector<char> destination(1000, 0);
  stream.Copy(destination.data(), source.data(), source.size());
  EXPECT_EQ(destination[0], 0);
  gate.Open();
  stream.Synchronize();
  EXPECT_EQ(destination, source);
}

TEST(CpuStreamTest, CopyBatchReadsTheSpanBeforeItReturns) {
  CpuStream stream("test");
  Gate gate;
  gate.Block(stream);
  std::vector<int> source(100);
  std::iota(source.begin(), source.end(), 0);
  std::vector<int> destination(100, -1);
  {
    std::vector<CopyEntry> entries;
    for (size_t i = 0; i < 100; ++i) {
      entries.push_back({&destination[99 - i], &source[i], sizeof(int)});
    }
    entries.push_back({nullptr, nullptr, 0});
    stream.CopyBatch(entries);
    std::fill(entries.begin(), entries.end(), CopyEntry{});
  }
  gate.Open();
  stream.Synchronize();
  EXPECT_TRUE(std::equal(source.begin(), source.end(), destination.rbegin()));
}

TEST(CpuStreamTest, FillSetsBytes) {
  CpuStream stream("test");
  std::vector<uint8_t> bytes(10, 1);
  stream.Fill(bytes.data() + 1, 0xab, 8);
  stream.Fill(nullptr, 0, 0);
  stream.Synchronize();
  EXPECT_EQ(bytes, (std::vector<uint8_t>{1, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 1}));
}

TEST(CpuStreamTest, DestructionRunsWhatIsQueued) {
  int runs = 0;
  Gate gate;
  {
    CpuStream stream("test");
    gate.Block(stream);
    for (int i = 0; i < 100; ++i) stream.Enqueue([&runs] { ++runs; });
    gate.Open();
  }
  EXPECT_EQ(runs, 100);
}

TEST(CpuStreamTest, WakesAfterItParked) {
  CpuStream stream("test");
  int runs = 0;
  for (int i = 0; i < 200; ++i) {
    stream.Enqueue([&runs] { ++runs; });
    stream.Synchronize();
    EXPECT_EQ(runs, i + 1);
    if (i % 10 == 0) std::this_thread::yield();
  }
}

TEST(CpuEventTest, DoneBeforeAnythingWasRecorded) {
  CpuEvent event;
  EXPECT_TRUE(event.Done());
  event.Synchronize();
  CpuStream stream("test");
  stream.Wait(event);
  stream.Synchronize();
}

TEST(CpuEventTest, DoneOnceEarlierWorkFinished) {
  CpuStream stream("test");
  CpuEvent event;
  Gate gate;
  gate.Block(stream);
  stream.Record(event);
  EXPECT_FALSE(event.Done());
  gate.Open();
  event.Synchronize();
  EXPECT_TRUE(event.Done());
}

TEST(CpuEventTest, OrdersTwoStreams) {
  CpuStream producer("producer");
  CpuStream consumer("consumer");
  CpuEvent event;
  Gate gate;
  int value = 0;  // plain: the event is the only order between the streams
  int seen = -1;
  gate.Block(producer);
  producer.Enqueue([&value] { value = 42; });
  producer.Record(event);
  consumer.Wait(event);
  consumer.Enqueue([&] { seen = value; });
  gate.Open();
  consumer.Synchronize();
  EXPECT_EQ(seen, 42);
}

TEST(CpuEventTest, AWaitKeepsThePointItSaw) {
  CpuStream producer("producer");
  CpuStream other("other");
  CpuStream consumer("consumer");
  CpuEvent event;
  Gate first;
  Gate second;
  first.Block(producer);
  producer.Record(event);
  consumer.Wait(event);  // the producer's first point
  second.Block(other);
  other.Record(event);  // replaces it; must not hold the consumer up
  first.Open();
  consumer.Synchronize();
  EXPECT_FALSE(event.Done());
  second.Open();
  event.Synchronize();
}

TEST(CpuEventTest, ALaterPointOnAnotherStreamDoesNotReleaseAnEarlierWait) {
  CpuStream producer("producer");
  CpuStream other("other");
  CpuStream consumer("consumer");
  CpuEvent event;
  Gate gate;
  bool released = false;
  gate.Block(producer);
  producer.Enqueue([&released] { released = true; });
  producer.Record(event);
  consumer.Wait(event);
  bool seen = false;
  consumer.Enqueue([&] { seen = released; });
  other.Record(event);  // done at once
  EXPECT_TRUE(event.Done());
  gate.Open();
  consumer.Synchronize();
  EXPECT_TRUE(seen);
}

TEST(CpuEventTest, OutlivesItsStream) {
  CpuEvent event;
  {
    CpuStream stream("test");
    stream.Enqueue([] {});
    stream.Record(event);
  }
  EXPECT_TRUE(event.Done());
  event.Synchronize();
}

TEST(CpuEventTest, PingPongBetweenStreams) {
  CpuStream a("a");
  CpuStream b("b");
  CpuEvent event_a;
  CpuEvent event_b;
  int value = 0;  // plain: handed over 1000 times by the events alone
  for (int i = 0; i < 1000; ++i) {
    a.Wait(event_b);
    a.Enqueue([&value] { ++value; });
    a.Record(event_a);
    b.Wait(event_a);
    b.Enqueue([&value] { ++value; });
    b.Record(event_b);
  }
  a.Synchronize();
  b.Synchronize();
  EXPECT_EQ(value, 2000);
}

TEST(CpuGraphTest, CapturesWithoutRunningAndReplaysInOrder) {
  CpuStream stream("test");
  std::vector<int> order;
  stream.BeginCapture();
  stream.Enqueue([&order] { order.push_back(1); });
  stream.Enqueue([&order] { order.push_back(2); });
  const std::unique_ptr<Graph> graph = stream.EndCapture();
  stream.Synchronize();
  EXPECT_TRUE(order.empty());
  stream.Launch(*graph);
  stream.Enqueue([&order] { order.push_back(3); });
  stream.Launch(*graph);
  stream.Synchronize();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 1, 2}));
}

TEST(CpuGraphTest, MayBeDestroyedAfterLaunchAndRunOnAnotherStream) {
  CpuStream recorder("recorder");
  CpuStream runner("runner");
  Gate gate;
  gate.Block(runner);
  int runs = 0;
  recorder.BeginCapture();
  recorder.Enqueue([&runs] { ++runs; });
  std::unique_ptr<Graph> graph = recorder.EndCapture();
  runner.Launch(*graph);
  runner.Launch(*graph);
  graph.reset();
  gate.Open();
  runner.Synchronize();
  EXPECT_EQ(runs, 2);
}

TEST(CpuGraphTest, CopiesReadTheSourceAtLaunch) {
  CpuStream stream("test");
  int source = 1;
  int destination = 0;
  stream.BeginCapture();
  stream.Copy(&destination, &source, sizeof(int));
  const std::unique_ptr<Graph> graph = stream.EndCapture();
  for (source = 5; source < 8; ++source) {
    stream.Launch(*graph);
    stream.Synchronize();
    EXPECT_EQ(destination, source);
  }
}

class CpuGraphDeathTest : public testing::Test {
 protected:
  // The stream's thread runs: the child starts the test anew, it isn't forked from the middle.
  CpuGraphDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(CpuGraphDeathTest, SynchronizeWhileCapturingIsABrokenContract) {
  CpuStream stream("test");
  stream.BeginCapture();
  EXPECT_DEATH(stream.Synchronize(), "");
  static_cast<void>(stream.EndCapture());
}

}  // namespace
}  // namespace spearfish::kernels
