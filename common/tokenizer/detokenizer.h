// Token ids to text as they come, never half a UTF-8 character.
#ifndef COMMON_TOKENIZER_DETOKENIZER_H_
#define COMMON_TOKENIZER_DETOKENIZER_H_

#include <string>

#include "common/base/ids.h"
#include "common/tokenizer/tokenizer.h"

namespace spearfish {

// State of one sequence. Not thread-safe; the tokenizer must outlive it.
// Invariant: the concatenation of all that Append and Flush returned is valid UTF-8 and equals
// Decode of those ids that are in the vocabulary (with special tokens skipped or not as
// constructed).
class Detokenizer {
 public:
  Detokenizer(const Tokenizer& tokenizer, Tokenizer::SpecialTokens special);

  // The text that `id` completes; empty while a character is unfinished. Bytes that can never
  // become valid UTF-8 come out as U+FFFD at once. An id outside the vocabulary (a model may have
  // padding rows in its embedding) yields nothing.
  std::string Append(TokenId id);

  // What is left when the sequence ends: unfinished bytes become U+FFFD.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  const Tokenizer::SpecialTokens special_;
  std::string pending_;  // bytes of an unfinished character, at most 3
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_DETOKENIZER_H_
