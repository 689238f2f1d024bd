// Short templates with what Jinja2 3.1.6 renders (ImmutableSandboxedEnvironment, trim_blocks,
// lstrip_blocks, loopcontrols, transformers' tojson); null: Jinja fails as well. "refused": Jinja
// renders it and we do not.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/test_data.h"
#include "tests/unit/chat/rendering.h"

namespace spearfish::tests {
namespace {

TEST(JinjaReference, EveryTemplateRendersTheSame) {
  const std::string path =
      absl::StrCat(SPEARFISH_SOURCE_DIR, "/tests/unit/chat/testdata/jinja_reference.json");
  const auto reference = nlohmann::ordered_json::parse(ReadFile(path));
  ASSERT_GT(reference.at("cases").size(), 200U);
  for (const auto& entry : reference.at("cases")) {
    const std::string source = entry.at("template").get<std::string>();
    const auto text = RenderWith(source, reference.at("variables"));
    if (entry.at("text").is_null() || entry.contains("refused")) {
      EXPECT_FALSE(text.ok()) << source << "\ngave " << *text;
    } else {
      EXPECT_EQ(text.ok() ? *text : text.status().ToString(), entry.at("text").get<std::string>())
          << source;
    }
  }
}

}  // namespace
}  // namespace spearfish::tests
