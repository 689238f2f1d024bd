// Hugging Face tokenizer.json: byte-level BPE.
#ifndef COMMON_TOKENIZER_TOKENIZER_H_
#define COMMON_TOKENIZER_TOKENIZER_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/ids.h"

namespace spearfish {

// Immutable after Create; Encode and the decoders may be called from any thread at once.
class Tokenizer {
 public:
  // Parses tokenizer.json text. Supported: model BPE (merges as pairs or "a b" strings,
  // ignore_merges), pre-tokenizers Split (Regex or String, any behaviour), ByteLevel, and Sequence
  // of them that ends with ByteLevel; normaliser NFC, none, or Sequence of it; post-processor
  // ByteLevel, TemplateProcessing whose template adds nothing, or Sequence of them; decoder
  // ByteLevel; added tokens with single_word, lstrip, rstrip, normalized. Anything else is
  // Unimplemented, naming it.
  // InvalidArgument for a file that contradicts itself (a merge whose parts or result are not in
  // the vocabulary, an id given twice), naming the entry.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view json_text);
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromFile(const std::string& path);

  virtual ~Tokenizer() = default;

  enum class SpecialTokens { kParse, kAsText };

  // Text to ids. kParse turns added tokens that appear in the text into their ids (Hugging Face's
  // behaviour); kAsText encodes special ones as ordinary text. InvalidArgument for invalid UTF-8,
  // for more than 32 MiB, for a byte that no token stands for, and for a text on which the
  // pre-tokenizer's regex gives up.
  virtual absl::StatusOr<std::vector<TokenId>> Encode(absl::string_view text,
                                                      SpecialTokens special) const = 0;

  // The raw bytes of one token (a token may hold half a character). Added tokens give their text.
  // OutOfRange for an id that is not in the vocabulary.
  virtual absl::StatusOr<absl::string_view> TokenBytes(TokenId id) const = 0;

  // Ids to text, whole; invalid UTF-8 becomes U+FFFD. kParse means special tokens are skipped in
  // the output, kAsText that they are written out. OutOfRange for an id that is not in the
  // vocabulary.
  virtual absl::StatusOr<std::string> Decode(std::span<const TokenId> ids,
                                             SpecialTokens special) const = 0;

  virtual bool IsSpecial(TokenId id) const = 0;
  // The id of an added or vocabulary token by its exact text; NotFound otherwise.
  virtual absl::StatusOr<TokenId> FindToken(absl::string_view text) const = 0;
  // One more than the largest id.
  virtual uint32_t vocab_size() const = 0;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_TOKENIZER_H_
