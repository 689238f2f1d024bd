#include "common/config/json_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  const auto document = ParseJson(text, "some.json");
  EXPECT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(document.status().message());
}

TEST(JsonDocument, ParsesWhatIsWellFormed) {
  const auto document = ParseJson(R"({"a": [1, 2.5, null, true, "x"], "b": {"a": -1}} )", "j");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ((*document)["a"].size(), 5u);
  EXPECT_EQ((*document)["b"]["a"], -1);  // the same key one level down is no repetition
}

TEST(JsonDocument, NamesTheTextAndTheByte) {
  EXPECT_THAT(ErrorOf(R"({"a": 1,,})"), HasSubstr("some.json: at byte 9"));
  for (const char* text :
       {"", " ", "{", "[1", "{\"a\"}", "nul", "{} x", "\"\xff\"", "1e999", "NaN", "{\"a\": 01}"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("malformed JSON in some.json")) << text;
  }
}

TEST(JsonDocument, RefusesAKeyGivenTwice) {
  EXPECT_THAT(ErrorOf(R"({"a": 1, "b": 2, "a": 1})"),
              HasSubstr("key given twice in some.json: 'a'"));
  EXPECT_THAT(ErrorOf(R"([{}, {"x": {"k": 1, "k": 1}}])"), HasSubstr("'k'"));
}

TEST(JsonDocument, BoundsNesting) {
  const std::string deepest =
      std::string(kMaxJsonDepth, '[') + "1" + std::string(kMaxJsonDepth, ']');
  EXPECT_TRUE(ParseJson(deepest, "j").ok());
  EXPECT_THAT(ErrorOf("[" + deepest + "]"), HasSubstr("nested too deeply"));
  EXPECT_THAT(ErrorOf(std::string(5'000'000, '[')), HasSubstr("nested too deeply"));
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(ErrorOf(objects), HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace spearfish
