#include "server/http/logprobs_json.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/tokenizer/utf8.h"

namespace spearfish::server {
namespace {

// JSON knows no infinity; OpenAI's floor.
double Finite(float logprob) { return logprob > -9999.0f ? logprob : -9999.0; }

Json ChatToken(const v1::TokenLogprob& token) {
  Json bytes = Json::array();
  for (const char byte : token.token_bytes()) bytes.push_back(static_cast<uint8_t>(byte));
  return {{"token", TokenText(token.token_bytes())},
          {"logprob", Finite(token.logprob())},
          {"bytes", std::move(bytes)}};
}

uint64_t NumCharacters(absl::string_view text) {
  return static_cast<uint64_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xc0) != 0x80; }));
}

}  // namespace

std::string TokenText(absl::string_view bytes) {
  if (ValidUtf8Prefix(bytes) == bytes.size()) return std::string(bytes);
  std::string text = "bytes:";
  for (const char byte : bytes) absl::StrAppendFormat(&text, "\\x%02x", static_cast<uint8_t>(byte));
  return text;
}

void AppendChatLogprobs(const LogprobList& positions, Json& content) {
  for (const v1::PositionLogprobs& position : positions) {
    Json entry = ChatToken(position.chosen());
    Json top = Json::array();
    for (const v1::TokenLogprob& token : position.top()) top.push_back(ChatToken(token));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
}

void CompletionLogprobs::Append(const LogprobList& positions) {
  for (const v1::PositionLogprobs& position : positions) {
    const std::string text = TokenText(position.chosen().token_bytes());
    Json top = Json::object();
    for (const v1::TokenLogprob& token : position.top()) {
      top[TokenText(token.token_bytes())] = Finite(token.logprob());
    }
    // As OpenAI has it, the token that was drawn is among them even where it is not one of the top.
    top[text] = Finite(position.chosen().logprob());
    tokens_.push_back(text);
    token_logprobs_.push_back(Finite(position.chosen().logprob()));
    top_logprobs_.push_back(std::move(top));
    text_offset_.push_back(offset_);
    offset_ += NumCharacters(position.chosen().token_bytes());
  }
}

Json CompletionLogprobs::Take() {
  Json out = {{"tokens", std::exchange(tokens_, Json::array())},
              {"token_logprobs", std::exchange(token_logprobs_, Json::array())},
              {"top_logprobs", std::exchange(top_logprobs_, Json::array())},
              {"text_offset", std::exchange(text_offset_, Json::array())}};
  return out;
}

}  // namespace spearfish::server
