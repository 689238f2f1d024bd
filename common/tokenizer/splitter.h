// One Split step of a pre-tokenizer.
#ifndef COMMON_TOKENIZER_SPLITTER_H_
#define COMMON_TOKENIZER_SPLITTER_H_

#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/regex.h"
#include "common/tokenizer/tokenizer_spec.h"

namespace spearfish {

// Immutable after Create; any thread may call Split.
class Splitter {
 public:
  using PieceFunction = absl::FunctionRef<absl::Status(absl::string_view piece)>;

  static absl::StatusOr<Splitter> Create(const SplitSpec& spec);

  // Calls `piece` with each piece of `text` (valid UTF-8) from left to right, never an empty one.
  // Stops at the first error and returns it.
  absl::Status Split(absl::string_view text, PieceFunction piece) const;

 private:
  Splitter(Regex regex, SplitBehavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_SPLITTER_H_
