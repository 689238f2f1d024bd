// What is beyond the supported part of Jinja is refused by name and place, never guessed at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/chat/chat_template.h"
#include "tests/unit/chat/rendering.h"

namespace spearfish::tests {
namespace {

using testing::HasSubstr;

struct Case {
  const char* source;
  const char* message;
};

class Refusal : public testing::TestWithParam<Case> {};

TEST_P(Refusal, NamesTheConstructWhileCompiling) {
  const auto created = ChatTemplate::Create(GetParam().source);
  ASSERT_FALSE(created.ok()) << GetParam().source;
  EXPECT_EQ(created.status().code(), absl::StatusCode::kUnimplemented) << created.status();
  EXPECT_THAT(std::string(created.status().message()), HasSubstr(GetParam().message));
  EXPECT_THAT(std::string(created.status().message()), HasSubstr("chat template, line "));
}

INSTANTIATE_TEST_SUITE_P(
    Constructs, Refusal,
    testing::Values(
        Case{"\n  {% include 'x' %}", "line 2, column 6: the tag include"},
        Case{"{% block a %}{% endblock %}", "the tag block"},
        Case{"{% raw %}{% endraw %}", "the tag raw"},
        Case{"{% call m() %}{% endcall %}", "the tag call"},
        Case{"{% with a = 1 %}{% endwith %}", "the tag with"},
        Case{"{% filter upper %}{% endfilter %}", "the tag filter"},
        Case{"{% generation %}{% endgeneration %}", "the tag generation"},
        Case{"{% for a in b recursive %}{% endfor %}", "a recursive for"},
        Case{"{% if a %}{% macro m() %}{% endmacro %}{% endif %}", "a macro inside"},
        Case{"{{ a | wordwrap(3) }}", "the filter wordwrap"},
        Case{"{{ a | tojson(html=1) }}", "the argument html"},
        Case{"{{ a is divisibleby 3 }}", "the test divisibleby"},
        Case{"{{ 'a'.format(1) }}", "the method format"},
        Case{"{{ xs.append(1) }}", "the method append"},
        Case{"{{ cycler(1) }}", "the function cycler"}, Case{"{{ 2 ** 3 }}", "the operator **"},
        Case{"{{ 1 < 2 < 3 }}", "a chain of comparisons"},
        Case{"{{ f(*a) }}", "an argument with *"}, Case{"{{ a[1, 2] }}", "a subscript of several"},
        Case{"{{ caller() }}", "the name caller"}, Case{"{{ '\\N{DASH}' }}", "the escape \\N"},
        Case{"{{ 1_000 }}", "a number with letters"}));

class RuntimeRefusal : public testing::TestWithParam<Case> {};

TEST_P(RuntimeRefusal, NamesTheOperationWhileRendering) {
  const auto text = Render(GetParam().source);
  ASSERT_FALSE(text.ok()) << *text;
  EXPECT_EQ(text.status().code(), absl::StatusCode::kUnimplemented) << text.status();
  EXPECT_THAT(std::string(text.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Operations, RuntimeRefusal,
    testing::Values(Case{"{{ ['\xC3\xA9'] }}", "text beyond ASCII"},
                    Case{"{{ '\xC3\xA9' | upper }}", "case beyond ASCII"},
                    Case{"{{ {'a': 1}.items() }}", "writing a view"},
                    Case{"{% set x = [1] | map('string') %}", "keeping an iterator"},
                    Case{"{{ ('<' | safe) + '<' }}", "after the filter safe"},
                    Case{"{{ {1: 2} }}", "a key that is no string"},
                    Case{"{{ {'a': 1}.pop }}", "the method pop of a mapping"},
                    Case{"{{ 9223372036854775807 + 1 }}", "beyond 64 bits"},
                    Case{"{% for x in [1] %}{{ loop.changed }}{% endfor %}", "loop.changed"},
                    Case{"{% for x in [1] %}{% set y = loop %}{% endfor %}", "keeping the loop"}));

class Malformed : public testing::TestWithParam<Case> {};

TEST_P(Malformed, SaysWhatIsWrong) {
  const auto created = ChatTemplate::Create(GetParam().source);
  ASSERT_FALSE(created.ok()) << GetParam().source;
  EXPECT_EQ(created.status().code(), absl::StatusCode::kInvalidArgument) << created.status();
  EXPECT_THAT(std::string(created.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Sources, Malformed,
    testing::Values(Case{"{{ a", "a tag without }}"}, Case{"{% if a %}", "ends before endif"},
                    Case{"{# a", "a comment without end"}, Case{"{{ 'a }}", "a string without end"},
                    Case{"{{ (a", "a tag without }}"}, Case{"{{ a) }}", "closing bracket"},
                    Case{"{{ }}", "expected an expression"}, Case{"{{ a b }}", "expected }}"},
                    Case{"{% set loop = 1 %}", "a value given to loop"},
                    Case{"{% break %}", "break outside of a for"},
                    Case{"{{ a | trim(1, 2) }}", "too many arguments"},
                    Case{"{{ a | replace('x') }}", "the argument new is missing"},
                    Case{"{{ '\\xZZ' }}", "a broken escape"}, Case{"\xFF", "not UTF-8"},
                    Case{"{% macro m(a, a) %}{% endmacro %}", "a second parameter a"}));

}  // namespace
}  // namespace spearfish::tests
