// Two modes, by the first byte. 0: the bytes after it as a template, rendered with a fixed
// conversation if it compiles. Else: JSON messages for a template that walks all of them. Whatever
// comes gives text or a status that says why, in a bounded number of steps.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/chat/chat_template.h"

namespace spearfish {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxSteps = 20000;

constexpr char kMessages[] = R"([{"role": "system", "content": "S"},
  {"role": "user", "content": [{"type": "text", "text": "grüße"}]},
  {"role": "assistant", "content": "<think>\na\n</think>\n\nb", "tool_calls": [{"type": "function",
    "function": {"name": "f", "arguments": {"x": [1, 2.5, null, true]}}}]},
  {"role": "tool", "content": "  result\n"}])";

constexpr char kWalk[] =
    "{% macro walk(x) %}{% if x is mapping %}{% for k, v in x|items %}{{ k }}{{ walk(v) }}"
    "{% endfor %}{% elif x is string %}{{ x[1:]|trim }}{{ x.split('a')|length }}"
    "{% elif x is iterable %}{% for y in x %}{{ walk(y) }}{% endfor %}{% else %}{{ x }}{% endif %}"
    "{% endmacro %}{% for m in messages %}{{ walk(m) }}{{ m|tojson }}{{ m == messages[0] }}"
    "{% endfor %}";

void CheckResult(const absl::StatusOr<std::string>& text) {
  if (!text.ok()) SF_CHECK(!text.status().message().empty());
}

ChatTemplateOptions Options() {
  ChatTemplateOptions options;
  options.max_steps = kMaxSteps;
  options.clock = [] { return absl::UnixEpoch(); };
  options.zone = absl::UTCTimeZone();
  return options;
}

void FuzzTemplate(absl::string_view source) {
  const auto created = ChatTemplate::Create(source, Options());
  if (!created.ok()) {
    SF_CHECK(!created.status().message().empty());
    return;
  }
  ChatInput input;
  input.messages = Json::parse(kMessages);
  CheckResult((*created)->Render(input));
}

void FuzzMessages(absl::string_view bytes) {
  static const std::unique_ptr<ChatTemplate> walk = [] {
    auto created = ChatTemplate::Create(kWalk, Options());
    SF_CHECK_OK(created.status());
    return *std::move(created);
  }();
  ChatInput input;
  input.messages = Json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
  if (input.messages.is_discarded()) return;
  CheckResult(walk->Render(input));
}

}  // namespace
}  // namespace spearfish

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] == 0) {
    spearfish::FuzzTemplate(bytes.substr(1));
  } else {
    spearfish::FuzzMessages(bytes);
  }
  return 0;
}
