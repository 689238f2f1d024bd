#include "common/chat/checkpoint_chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish::tests {
namespace {

using testing::HasSubstr;

class CheckpointChatTemplate : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content) {
    WriteFile(folder_.File(name), content);
  }
  absl::StatusOr<std::string> Render() {
    auto chat_template = ReadChatTemplate(folder_.path());
    if (!chat_template.ok()) return chat_template.status();
    return (*chat_template)->Render({});
  }

  TempDir folder_;
};

TEST_F(CheckpointChatTemplate, ReadsTheBundledOne) {
  const auto chat_template = ReadChatTemplate(BundledCheckpoint());
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  ChatInput input;
  input.messages = {{{"role", "user"}, {"content", "Hi"}}};
  EXPECT_EQ((*chat_template)->Render(input).value(),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(CheckpointChatTemplate, PrefersItsOwnFileAndKnowsSpecialTokens) {
  Write("chat_template.jinja", "file {{ eos_token }}{{ bos_token }}{{ pad_token is defined }}");
  Write("tokenizer_config.json",
        R"({"chat_template": "config", "eos_token": {"content": "<e>"}, "bos_token": "<b>",
            "pad_token": null})");
  EXPECT_EQ(Render().value(), "file <e><b>False");
}

TEST_F(CheckpointChatTemplate, FallsBackToTheConfig) {
  Write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(Render().value(), "config");
}

TEST_F(CheckpointChatTemplate, TakesTheDefaultOfNamedOnes) {
  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "rag", "template": "no"},
                              {"name": "default", "template": "yes"}]})");
  EXPECT_EQ(Render().value(), "yes");
}

TEST_F(CheckpointChatTemplate, NamesWhatIsWrong) {
  EXPECT_EQ(Render().status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Render().status().message()), HasSubstr("no chat template"));
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "no"}]})");
  EXPECT_EQ(Render().status().code(), absl::StatusCode::kNotFound);
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "no"}]})");
  EXPECT_EQ(Render().status().code(), absl::StatusCode::kUnimplemented);
  Write("tokenizer_config.json", R"({"chat_template": [7]})");
  EXPECT_EQ(Render().status().code(), absl::StatusCode::kInvalidArgument);
  Write("tokenizer_config.json", "{");
  EXPECT_THAT(std::string(Render().status().message()), HasSubstr("is not JSON"));
  Write("chat_template.jinja", "{% include 'x' %}");
  Write("tokenizer_config.json", "{}");
  EXPECT_THAT(std::string(Render().status().message()), HasSubstr("the tag include"));
}

}  // namespace
}  // namespace spearfish::tests
