#include "worker/engine/text_stream.h"

namespace spearfish::worker {

std::optional<size_t> TextStream::Append(TokenId id, StopMode mode, std::string& text) {
  const std::string piece = detokenizer_.Append(id);
  const std::optional<StopMatcher::Match> match = matcher_.Append(piece, mode);
  const size_t held_before = held_.size();
  held_ += piece;
  if (match) {
    size_t end = held_before + match->end;
    if (output_ == StopStringOutput::kDrop) end -= stop_strings_.string(match->string).size();
    text.append(held_, 0, end);
    held_.clear();
    return match->string;
  }
  const size_t certain = held_.size() - matcher_.num_held_bytes();
  text.append(held_, 0, certain);
  held_.erase(0, certain);
  return std::nullopt;
}

void TextStream::Flush(std::string& text) {
  text += held_;
  text += detokenizer_.Flush();
  held_.clear();
}

}  // namespace spearfish::worker
