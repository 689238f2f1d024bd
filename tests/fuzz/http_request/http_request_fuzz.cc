// Any bytes as what HTTP clients send and models write. The first byte says as what: a chat
// request, a request for completions, or an assistant's text, which the second byte cuts into
// pieces.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/tokenizer/utf8.h"
#include "server/http/assistant_parser.h"
#include "server/http/chat_request.h"
#include "server/http/completion_request.h"
#include "server/http/error_response.h"
#include "server/http/json_fields.h"

namespace spearfish::server {
namespace {

bool IsUtf8(absl::string_view text) { return ValidUtf8Prefix(text) == text.size(); }

// A refusal says why, in a body that is JSON.
void CheckRefusal(const absl::Status& status) {
  SF_CHECK(absl::IsInvalidArgument(status));
  const auto body = ParseBody(ErrorBody(ErrorOf(status)));
  SF_CHECK(body.ok() && !(*body)["error"]["message"].get<std::string>().empty());
}

void CheckCommon(const v1::GenerateStreamRequest& request) {
  SF_CHECK(!request.model().empty() && IsUtf8(request.model()));
  SF_CHECK(request.sampling().num_sequences() <= 64);
  SF_CHECK(request.stopping().stop_strings_size() <= 64);
  SF_CHECK(request.output().text());
}

void FuzzChat(absl::string_view body) {
  const absl::StatusOr<ChatRequest> chat = ReadChatRequest(body);
  if (!chat.ok()) {
    CheckRefusal(chat.status());
    return;
  }
  CheckCommon(chat->request);
  SF_CHECK(!chat->request.chat().messages().empty());
  for (const v1::ChatMessage& message : chat->request.chat().messages()) {
    SF_CHECK(!message.role().empty() && IsUtf8(message.content()));
    for (const v1::ChatToolCall& call : message.tool_calls()) SF_CHECK(!call.name().empty());
  }
  SF_CHECK(chat->tools == !chat->request.chat().tools_json().empty());
  for (const std::string& tool : chat->request.chat().tools_json()) {
    const auto json = ParseBody(tool);
    SF_CHECK(json.ok() && json->is_object());
  }
}

void FuzzCompletion(absl::string_view body) {
  const absl::StatusOr<CompletionRequest> completion = ReadCompletionRequest(body);
  if (!completion.ok()) {
    CheckRefusal(completion.status());
    return;
  }
  SF_CHECK(!completion->requests.empty() && completion->requests.size() <= 1024);
  SF_CHECK(completion->echoes.size() == completion->requests.size());
  for (const v1::GenerateStreamRequest& request : completion->requests) {
    CheckCommon(request);
    SF_CHECK(request.has_text() || request.has_token_ids());
    SF_CHECK(request.stopping().max_tokens() > 0);
  }
}

// Everything that came out, in one line.
std::string Parsed(AssistantFormat format, absl::string_view text, size_t piece) {
  std::string reasoning;
  std::string content;
  std::string calls;
  AssistantParser parser(format);
  const auto take = [&](const AssistantDelta& delta) {
    reasoning += delta.reasoning;
    content += delta.content;
    for (const ToolCall& call : delta.tool_calls) calls += call.name + '\1' + call.arguments + '\1';
  };
  for (size_t at = 0; at < text.size(); at += piece) take(parser.Add(text.substr(at, piece)));
  take(parser.Finish());
  return reasoning + '\2' + content + '\2' + calls;
}

void FuzzAssistant(uint8_t how, absl::string_view text) {
  const AssistantFormat format{
      .reasoning = (how & 1) != 0, .begins_in_reasoning = (how & 2) != 0, .tools = (how & 4) != 0};
  const size_t piece = 1 + (how >> 3);
  SF_CHECK(Parsed(format, text, piece) == Parsed(format, text, text.size() + 1));
}

void Fuzz(absl::string_view data) {
  if (data.size() < 2) return;
  switch (static_cast<uint8_t>(data[0]) % 3) {
    case 0:
      FuzzChat(data.substr(1));
      break;
    case 1:
      FuzzCompletion(data.substr(1));
      break;
    default:
      FuzzAssistant(static_cast<uint8_t>(data[1]), data.substr(2));
  }
}

}  // namespace
}  // namespace spearfish::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spearfish::server::Fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
