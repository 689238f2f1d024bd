// What a tokenizer.json says, as plain data. Read by the parts of the tokenizer; written by
// ParseTokenizerJson.
#ifndef COMMON_TOKENIZER_TOKENIZER_SPEC_H_
#define COMMON_TOKENIZER_TOKENIZER_SPEC_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"

namespace spearfish {

// A token that is found in the text by its exact characters, before the model sees the rest.
struct AddedToken {
  TokenId id = 0;
  std::string text;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space after it along
  bool normalized = false;   // looked for in the normalised text, else in the original
  bool special = false;      // control token: skipped in decoded text, may be read as plain text
};

enum class PatternKind { kRegex, kString };

// What becomes of the matches of a Split pattern ("delimiters") beside the text between them.
enum class SplitBehavior {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,  // neighbouring matches are one piece
};

struct SplitSpec {
  PatternKind kind = PatternKind::kRegex;
  std::string pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // the text between matches is the delimiter
};

// Splits in order, then ByteLevel.
struct PreTokenizerSpec {
  std::vector<SplitSpec> splits;
  bool add_prefix_space = false;  // put a space before each piece that has none
  bool use_word_regex = false;    // then split by GPT-2's regex
};

// Token texts are written in the byte-level alphabet (byte_level.h).
struct ModelSpec {
  std::vector<std::pair<std::string, TokenId>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;  // best first
  std::optional<std::string> unk_token;
  bool fuse_unk = false;       // neighbouring unknown bytes are one unk_token
  bool ignore_merges = false;  // a word that is a token stays whole
};

struct TokenizerSpec {
  std::vector<AddedToken> added_tokens;
  bool normalize_nfc = false;
  PreTokenizerSpec pre_tokenizer;
  ModelSpec model;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_TOKENIZER_SPEC_H_
