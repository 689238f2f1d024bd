#include "common/chat/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/unit/chat/rendering.h"

namespace spearfish::tests {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

ChatInput Conversation() {
  ChatInput input;
  input.messages = Json::parse(R"([{"role": "user", "content": "Hi"},
                                   {"role": "assistant", "content": "Hello"}])");
  return input;
}

constexpr char kChatMl[] =
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

TEST(ChatTemplate, RendersAConversation) {
  const auto chat_template = ChatTemplate::Create(kChatMl);
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  ChatInput input = Conversation();
  constexpr char kTurns[] =
      "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n";
  EXPECT_EQ((*chat_template)->Render(input).value(),
            std::string(kTurns) + "<|im_start|>assistant\n");
  input.add_generation_prompt = false;
  EXPECT_EQ((*chat_template)->Render(input).value(), kTurns);
}

TEST(ChatTemplate, RendersTheSameFromManyThreads) {
  const auto chat_template = ChatTemplate::Create(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ m | tojson "
      "}}"
      "{% endfor %}{{ ns.n }}");
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  const std::string expected = (*chat_template)->Render(Conversation()).value();
  std::vector<std::thread> threads;
  std::vector<int> equal(4);
  for (int& count : equal) {
    threads.emplace_back([&chat_template, &expected, &count] {
      for (int i = 0; i < 50; ++i) {
        if ((*chat_template)->Render(Conversation()).value() == expected) ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(equal, testing::Each(50));
}

TEST(ChatTemplate, MissingToolsAreNoneAndVariablesOfTheInputComeFirst) {
  ChatTemplateOptions options;
  options.variables = {{"eos_token", "<eos>"}, {"name", "checkpoint"}};
  EXPECT_EQ(RenderWith("{{ tools is none }} {{ documents is none }} {{ eos_token }} {{ name }}",
                       {{"name", "request"}}, options)
                .value(),
            "True True <eos> request");
}

TEST(ChatTemplate, TellsTheInjectedTime) {
  ChatTemplateOptions options;
  options.zone = absl::UTCTimeZone();
  options.clock = [] { return absl::FromUnixSeconds(1'700'000'000); };
  EXPECT_EQ(RenderWith("{{ strftime_now('%d %b %Y %H:%M') }}", Json::object(), options).value(),
            "14 Nov 2023 22:13");
  EXPECT_EQ(RenderWith("{{ strftime_now('%G') }}", Json::object(), options).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(ChatTemplate, PassesOnWhatTheTemplateRaises) {
  const auto text = Render("{% if not messages %}{{ raise_exception('No messages!') }}{% endif %}");
  EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(text.status().message()), HasSubstr("No messages!"));
  EXPECT_THAT(std::string(text.status().message()), HasSubstr("line 1, column 25"));
}

TEST(ChatTemplate, RefusesInputThatIsNoConversation) {
  const auto chat_template = ChatTemplate::Create("{{ messages }}");
  ASSERT_TRUE(chat_template.ok());
  ChatInput input;
  input.messages = "text";
  EXPECT_FALSE((*chat_template)->Render(input).ok());
  input = {};
  input.messages = {{{"role", "user"}, {"content", "\xFF"}}};
  EXPECT_THAT(std::string((*chat_template)->Render(input).status().message()),
              HasSubstr("not UTF-8"));
  input = {};
  input.tools = {18446744073709551615U};
  EXPECT_THAT(std::string((*chat_template)->Render(input).status().message()),
              HasSubstr("beyond 64 bits"));
}

}  // namespace
}  // namespace spearfish::tests
