#include "common/base/trace_context.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace spearfish {
namespace {

const std::string kTraceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kParent = "00-" + kTraceId + "-00f067aa0ba902b7-01";

using Metadata = std::multimap<std::string, std::string>;

TEST(TraceContext, PassesAValidParentAndStateOnUnchanged) {
  const TraceContext trace =
      TraceContextOf(Metadata{{"traceparent", kParent}, {"tracestate", "rojo=00f067aa0ba902b7"}});
  EXPECT_EQ(trace.traceparent, kParent);
  EXPECT_EQ(trace.tracestate, "rojo=00f067aa0ba902b7");
  EXPECT_EQ(trace.trace_id(), kTraceId);
}

TEST(TraceContext, ThereIsNoStateWithoutAParent) {
  EXPECT_EQ(TraceContextOf(Metadata{{"tracestate", "a=1"}}).tracestate, "");
  const TraceContext bad = TraceContextOf(Metadata{{"traceparent", "00-x"}, {"tracestate", "a=1"}});
  EXPECT_EQ(bad.traceparent, "");
  EXPECT_EQ(bad.tracestate, "");
  EXPECT_EQ(bad.trace_id(), "");
}

TEST(TraceContext, TwoParentsAreNone) {
  EXPECT_EQ(
      TraceContextOf(Metadata{{"traceparent", kParent}, {"traceparent", kParent}}).traceparent, "");
}

TEST(TraceContext, SeveralStatesAreOneListABadOneIsDropped) {
  EXPECT_EQ(TraceContextOf(
                Metadata{{"traceparent", kParent}, {"tracestate", "a=1"}, {"tracestate", "b=2"}})
                .tracestate,
            "a=1,b=2");
  const TraceContext bad =
      TraceContextOf(Metadata{{"traceparent", kParent}, {"tracestate", "a=1,A=2"}});
  EXPECT_EQ(bad.traceparent, kParent);
  EXPECT_EQ(bad.tracestate, "");
}

TEST(Traceparent, FollowsTheFormat) {
  EXPECT_TRUE(IsTraceparent(kParent));
  EXPECT_TRUE(IsTraceparent("cc" + kParent.substr(2)));
  EXPECT_TRUE(IsTraceparent("cc" + kParent.substr(2) + "-what-the-future-brings"));
  const std::string bad[] = {
      "",
      kParent.substr(0, kParent.size() - 1),
      kParent + "-00",  // version 00 is that long exactly
      "cc" + kParent.substr(2) + ".later",
      "ff" + kParent.substr(2),
      "0g" + kParent.substr(2),
      "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01",  // no trace
      "00-" + kTraceId + "-0000000000000000-01",              // no parent
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
      "00-" + kTraceId + "-00f067aa0ba902b7-0x",
      "00_" + kTraceId + "-00f067aa0ba902b7-01",
      "00-" + kTraceId + "_00f067aa0ba902b7-01",
      "00-" + kTraceId + "-00f067aa0ba902b7_01",
  };
  for (const std::string& text : bad) EXPECT_FALSE(IsTraceparent(text)) << text;
}

TEST(Tracestate, FollowsTheGrammar) {
  std::string full = "k0=v";
  for (int i = 1; i < 32; ++i) full += ",k" + std::to_string(i) + "=v";
  const std::string good[] = {"",
                              "a=1",
                              "a=1 , b=2",
                              "a=1,,b=2,",
                              "fw529a3039@dt=FfAAAA~",
                              "9t@sys=x",
                              "a/b_c-d*=!#$ x",
                              full,
                              std::string(256, 'k') + "=" + std::string(256, 'v')};
  for (const std::string& text : good) EXPECT_TRUE(IsTracestate(text)) << text;
  const std::string bad[] = {"a",
                             "=1",
                             "a=",
                             "A=1",
                             "9a=1",
                             "a=1=2",
                             "a=1,a=2",
                             "a b=1",
                             "@s=1",
                             "t@=1",
                             "t@9s=1",
                             "a=\x7f",
                             "a=\xc3\xa4",
                             full + ",more=v",
                             std::string(257, 'k') + "=v",
                             "k=" + std::string(257, 'v')};
  for (const std::string& text : bad) EXPECT_FALSE(IsTracestate(text)) << text;
}

}  // namespace
}  // namespace spearfish
