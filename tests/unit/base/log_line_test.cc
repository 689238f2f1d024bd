#include "common/base/log_line.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace spearfish {
namespace {

nlohmann::json Parse(const std::string& members) {
  return nlohmann::json::parse("{" + members + "}");
}

const std::vector<LogField> kFields = {{"request_id", "r-1"},
                                       {"trace_id", ""},
                                       {"tokens", int64_t{7}},
                                       {"ttft_ms", 1.25},
                                       {"queue_ms", std::numeric_limits<double>::quiet_NaN()}};

TEST(LogLine, TextNamesFieldsAndLeavesOutWhatIsNotThere) {
  EXPECT_EQ(TextLine("request", kFields), "request request_id=r-1 tokens=7 ttft_ms=1.250");
  EXPECT_EQ(TextLine("a b", {}), "a b");
}

TEST(LogLine, TextValuesCannotBeginALine) {
  const std::vector<LogField> fields = {{"id", "x\n2026 I [gateway] forged"},
                                        {"next", "a=b \"c\""}};
  EXPECT_EQ(TextLine("m", fields), "m id=\"x\\n2026 I [gateway] forged\" next=\"a=b \\\"c\\\"\"");
}

TEST(LogLine, JsonHasTypesAndLeavesOutWhatIsNotThere) {
  const nlohmann::json line = Parse(JsonMembers("gateway", "request", kFields));
  EXPECT_EQ(line, (nlohmann::json{{"process", "gateway"},
                                  {"message", "request"},
                                  {"request_id", "r-1"},
                                  {"tokens", 7},
                                  {"ttft_ms", 1.25}}));
}

TEST(LogLine, JsonStringsSurviveAnything) {
  const std::string text = "\"\\\b\n\r\t\x01\x7f/ \xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x9f";
  EXPECT_EQ(Parse(JsonMembers("p", text, {}))["message"], text);
}

TEST(LogLine, JsonReplacesWhatIsNoUtf8) {
  // A lone continuation, an overlong form, a surrogate, past the last character, a cut one.
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(Parse(JsonMembers("p", "\x80|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82",
                              {}))["message"],
            r + "|" + r + r + "|" + r + r + r + "|" + r + r + r + r + "|" + r + r);
}

TEST(LogLine, JsonNumbersAreNumbers) {
  const std::vector<LogField> fields = {{"inf", std::numeric_limits<double>::infinity()},
                                        {"min", std::numeric_limits<int64_t>::min()}};
  const nlohmann::json line = Parse(JsonMembers("p", "m", fields));
  EXPECT_TRUE(line["inf"].is_number());
  EXPECT_EQ(line["min"], std::numeric_limits<int64_t>::min());
}

}  // namespace
}  // namespace spearfish
