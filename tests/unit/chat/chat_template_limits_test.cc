// Hostile templates and conversations end with an error, in bounded memory and on a bounded stack.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/chat/chat_template.h"
#include "tests/unit/chat/rendering.h"

namespace spearfish::tests {
namespace {

using testing::HasSubstr;

std::string Repeat(absl::string_view text, size_t times) {
  return absl::StrJoin(std::vector<absl::string_view>(times, text), "");
}

void ExpectInvalid(const absl::StatusOr<std::string>& text, absl::string_view message) {
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << text.status();
  EXPECT_THAT(std::string(text.status().message()), HasSubstr(std::string(message)));
}

TEST(ChatTemplateLimits, BracketsAndPrefixes) {
  constexpr size_t kMany = 50000;
  for (const char* open : {"(", "[", "{'a':", "not ", "-", "a[", "f(", "x if y else "}) {
    ExpectInvalid(Render(absl::StrCat("{{ ", Repeat(open, kMany))), "");
    ExpectInvalid(Render(absl::StrCat("{{ ", Repeat(open, kMany), " a }}")), "");
  }
}

TEST(ChatTemplateLimits, ChainsOfOperators) {
  for (const char* link : {" + a", " and a", " ~ a", " | trim", ".a", "[0]", " is none"}) {
    ExpectInvalid(Render(absl::StrCat("{{ a", Repeat(link, 50000), " }}")), "deeper than");
  }
}

TEST(ChatTemplateLimits, ManyPartsOnOneLevelAreFine) {
  EXPECT_EQ(Render(absl::StrCat("{{ a", Repeat(" ~ 'x'", 100), " }}")).value(), Repeat("x", 100));
  EXPECT_EQ(Render(absl::StrCat("{{ [", Repeat("1,", 5000), "] | length }}")).value(), "5000");
  EXPECT_EQ(
      Render(absl::StrCat("{% if a %}", Repeat("{% elif a %}", 5000), "{% else %}x{% endif %}"))
          .value(),
      "x");
}

TEST(ChatTemplateLimits, Blocks) {
  ExpectInvalid(Render(Repeat("{% if true %}", 50000)), "blocks deeper than");
  ExpectInvalid(Render(Repeat("{% for a in b %}", 50000)), "blocks deeper than");
}

TEST(ChatTemplateLimits, Recursion) {
  ExpectInvalid(Render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "nests too deeply");
}

TEST(ChatTemplateLimits, Steps) {
  ExpectInvalid(Render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                       "{% endfor %}"),
                "too many steps");
}

TEST(ChatTemplateLimits, TextThatDoubles) {
  ExpectInvalid(Render("{% set ns = namespace(s='0123456789') %}{% for i in range(99) %}"
                       "{% set ns.s = ns.s + ns.s %}{% endfor %}"),
                "too many steps");
  ExpectInvalid(Render("{% for i in range(90000) %}{{ ' ' ~ '0123456789'.replace('1', i ~ "
                       "'0123456789012345678901234567890123456789012345678901234567890123456789"
                       "0123456789012345678901234567890123456789') }}{% endfor %}"
                       "{% for i in range(90000) %}{{ messages }}{% for j in range(900) %}{{ j }}"
                       "{% endfor %}{% endfor %}"),
                "too many steps");
}

TEST(ChatTemplateLimits, ValuesThatNest) {
  ExpectInvalid(Render("{% set ns = namespace(s=[]) %}{% for i in range(9999) %}"
                       "{% set ns.s = [ns.s] %}{% endfor %}"),
                "nested deeper");
  // Small to hold, large to walk.
  constexpr char kShared[] =
      "{% set ns = namespace(s=[], t=[]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% set ns.t = [ns.t, ns.t] %}{% endfor %}";
  ExpectInvalid(Render(absl::StrCat(kShared, "{{ ns.s == ns.t }}")), "too many steps");
  ExpectInvalid(Render(absl::StrCat(kShared, "{{ ns.s | tojson }}")), "too many steps");
  ExpectInvalid(Render(absl::StrCat(kShared, "{{ ns.s }}")), "too many steps");
}

TEST(ChatTemplateLimits, InputThatNests) {
  nlohmann::ordered_json deep = nlohmann::ordered_json::array();
  for (int i = 0; i < 1000; ++i) deep = nlohmann::ordered_json::array({deep});
  ExpectInvalid(RenderWith("", {{"deep", deep}}), "nested deeper");
}

TEST(ChatTemplateLimits, NamespaceThatHoldsItself) {
  EXPECT_EQ(Render("{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.us = [ns] %}"
                   "{{ ns.me.me.us | length }}")
                .value(),
            "1");
}

TEST(ChatTemplateLimits, Source) {
  ExpectInvalid(Render(std::string((1 << 20) + 1, 'x')), "too large");
}

}  // namespace
}  // namespace spearfish::tests
