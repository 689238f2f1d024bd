// Cuts text into the words that the model merges within.
#ifndef COMMON_TOKENIZER_PRE_TOKENIZER_H_
#define COMMON_TOKENIZER_PRE_TOKENIZER_H_

#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/splitter.h"
#include "common/tokenizer/tokenizer_spec.h"

namespace spearfish {

// Immutable after Create; any thread may call Split.
class PreTokenizer {
 public:
  using WordFunction = absl::FunctionRef<absl::Status(absl::string_view word)>;

  static absl::StatusOr<PreTokenizer> Create(const PreTokenizerSpec& spec);

  // Calls `word` with each word of `text` (valid UTF-8) from left to right, never an empty one; the
  // view lives only during the call. Stops at the first error and returns it.
  absl::Status Split(absl::string_view text, WordFunction word) const;

 private:
  PreTokenizer() = default;

  absl::Status SplitFrom(size_t stage, absl::string_view text, WordFunction word) const;
  absl::Status ByteLevel(absl::string_view text, WordFunction word) const;

  std::vector<Splitter> splitters_;
  bool add_prefix_space_ = false;
  std::optional<Splitter> word_splitter_;  // GPT-2's regex
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_PRE_TOKENIZER_H_
