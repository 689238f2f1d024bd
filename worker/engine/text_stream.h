// The text of one sequence, given out as soon as it is certain.
#ifndef WORKER_ENGINE_TEXT_STREAM_H_
#define WORKER_ENGINE_TEXT_STREAM_H_

#include <cstddef>
#include <optional>
#include <string>

#include "common/base/ids.h"
#include "common/tokenizer/detokenizer.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/engine/stop_matcher.h"

namespace spearfish::worker {

enum class StopStringOutput { kDrop, kInclude };

// Detokenises (special tokens are skipped), holds back what may begin a stop string, and ends
// before or after the one that comes. The engine thread's; tokenizer and stop strings must outlive
// it. Invariant: what was given out, then held_, is the detokenised text.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const StopStrings& stop_strings, StopStringOutput output)
      : detokenizer_(tokenizer, Tokenizer::SpecialTokens::kParse),
        stop_strings_(stop_strings),
        matcher_(stop_strings),
        output_(output) {}

  // Appends to `text` what `id` makes certain. Returns the index of a stop string that ends within
  // the token's text; the stream is then at its end.
  std::optional<size_t> Append(TokenId id, StopMode mode, std::string& text);

  // Appends what is still held back: the sequence ended for another reason.
  void Flush(std::string& text);

 private:
  Detokenizer detokenizer_;
  const StopStrings& stop_strings_;
  StopMatcher matcher_;
  const StopStringOutput output_;
  std::string held_;
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_TEXT_STREAM_H_
