#include "common/base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace spearfish {
namespace {

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override { InitLog(""); }

  static std::string Logged(LogLevel level, const std::string& message) {
    ::testing::internal::CaptureStderr();
    const LogField field{"request_id", "r-1"};
    Log(level, message, {&field, 1});
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, JsonIsOneObjectALine) {
  InitLog("worker cpu", LogLevel::kInfo, LogFormat::kJson);
  const std::string text = Logged(LogLevel::kWarning, "two\nlines");
  ASSERT_EQ(text.find('\n'), text.size() - 1);
  const nlohmann::json line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["process"], "worker cpu");
  EXPECT_EQ(line["message"], "two\nlines");
  EXPECT_EQ(line["request_id"], "r-1");
  // 2026-01-02T03:04:05.678Z
  const std::string time = line["time"];
  ASSERT_EQ(time.size(), 24u);
  EXPECT_EQ(time[10], 'T');
  EXPECT_EQ(time[23], 'Z');
}

TEST_F(LogTest, TextNamesTheProcess) {
  InitLog("gateway");
  const std::string text = Logged(LogLevel::kInfo, "hello");
  EXPECT_NE(text.find("[gateway] hello request_id=r-1\n"), std::string::npos) << text;
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLeastLevel) {
  InitLog("gateway", LogLevel::kWarning, LogFormat::kJson);
  EXPECT_EQ(Logged(LogLevel::kInfo, "hello"), "");
}

}  // namespace
}  // namespace spearfish
