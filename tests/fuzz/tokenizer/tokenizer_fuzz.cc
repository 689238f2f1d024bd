// Three modes, by the first byte. Below 4: the bytes after it as text (bit 0 clear) or as ids (set)
// of the bundled checkpoint's tokenizer, special tokens parsed if bit 1 is set. Else: all bytes as
// a tokenizer.json, which must give an error, or a tokenizer that encodes and decodes without harm.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/tokenizer/detokenizer.h"
#include "common/tokenizer/tokenizer.h"
#include "common/tokenizer/utf8.h"

namespace spearfish {
namespace {

constexpr char kText[] =
    "The quick-brown fox, it's 1234\u0662!\r\n\n  \t cafe\u0301 \u4E2D\u6587 \U0001F600 "
    "<|im_end|>aaaa";

const Tokenizer& BundledTokenizer() {
  static const std::unique_ptr<Tokenizer> tokenizer = [] {
    auto created =
        Tokenizer::FromFile(SPEARFISH_SOURCE_DIR "/tests/data/qwen3-moe-3m/tokenizer.json");
    SF_CHECK_OK(created.status());
    return *std::move(created);
  }();
  return *tokenizer;
}

void CheckText(absl::string_view text, Tokenizer::SpecialTokens special) {
  const Tokenizer& tokenizer = BundledTokenizer();
  const auto ids = tokenizer.Encode(text, special);
  SF_CHECK(ids.ok() == (ValidUtf8Prefix(text) == text.size()));
  if (!ids.ok()) return;
  const auto decoded = tokenizer.Decode(*ids, Tokenizer::SpecialTokens::kAsText);
  SF_CHECK_OK(decoded.status());
  SF_CHECK(*decoded == text);
}

// Two bytes an id; more values than the vocabulary has.
void CheckIds(absl::string_view bytes, Tokenizer::SpecialTokens special) {
  const Tokenizer& tokenizer = BundledTokenizer();
  Detokenizer detokenizer(tokenizer, special);
  std::vector<TokenId> known;
  std::string text;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const TokenId id = (static_cast<uint8_t>(bytes[i]) << 8 | static_cast<uint8_t>(bytes[i + 1])) %
                       (tokenizer.vocab_size() + 16);
    if (tokenizer.TokenBytes(id).ok()) known.push_back(id);
    const std::string piece = detokenizer.Append(id);
    SF_CHECK(ValidUtf8Prefix(piece) == piece.size());
    text += piece;
  }
  text += detokenizer.Flush();
  const auto whole = tokenizer.Decode(known, special);
  SF_CHECK_OK(whole.status());
  SF_CHECK(text == *whole);
}

void CheckFixedText(const Tokenizer& tokenizer, Tokenizer::SpecialTokens special) {
  const auto ids = tokenizer.Encode(kText, special);
  if (!ids.ok()) return;
  const auto whole = tokenizer.Decode(*ids, special);
  SF_CHECK_OK(whole.status());
  Detokenizer detokenizer(tokenizer, special);
  std::string text;
  for (const TokenId id : *ids) {
    SF_CHECK(id < tokenizer.vocab_size());
    text += detokenizer.Append(id);
  }
  SF_CHECK(text + detokenizer.Flush() == *whole);
}

void CheckJson(absl::string_view bytes) {
  const auto tokenizer = Tokenizer::Create(bytes);
  if (!tokenizer.ok()) return;
  CheckFixedText(**tokenizer, Tokenizer::SpecialTokens::kParse);
  CheckFixedText(**tokenizer, Tokenizer::SpecialTokens::kAsText);
}

}  // namespace
}  // namespace spearfish

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using spearfish::Tokenizer;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size == 0 || data[0] >= 4) {
    spearfish::CheckJson(bytes);
    return 0;
  }
  const auto special =
      (data[0] & 2) != 0 ? Tokenizer::SpecialTokens::kParse : Tokenizer::SpecialTokens::kAsText;
  if ((data[0] & 1) != 0) {
    spearfish::CheckIds(bytes.substr(1), special);
  } else {
    spearfish::CheckText(bytes.substr(1), special);
  }
  return 0;
}
