// Finds stop strings in text that arrives in pieces.
#ifndef WORKER_ENGINE_STOP_MATCHER_H_
#define WORKER_ENGINE_STOP_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace spearfish::worker {

// The stop strings of one request with their Knuth-Morris-Pratt tables. Immutable: the sequences of
// the request share it.
class StopStrings {
 public:
  // None empty.
  explicit StopStrings(std::vector<std::string> strings);

  size_t size() const { return strings_.size(); }
  bool empty() const { return strings_.empty(); }
  const std::string& string(size_t i) const { return strings_[i]; }

  // Length of the longest prefix of string i that ends with `next`, when `matched` < its length
  // bytes of it came directly before. Amortised O(1) over a text.
  uint32_t Advance(size_t i, uint32_t matched, char next) const;

  // Length of the longest proper prefix of string i that is also a suffix of its first `length`
  // bytes, length >= 1.
  uint32_t Border(size_t i, uint32_t length) const { return borders_[i][length - 1]; }

 private:
  std::vector<std::string> strings_;
  std::vector<std::vector<uint32_t>> borders_;  // [strings][bytes]
};

enum class StopMode { kStop, kIgnore };

// How far each stop string is matched at the end of the text of one sequence. `strings` must
// outlive it. What it finds depends on the text alone, not on how the text was cut into pieces.
class StopMatcher {
 public:
  explicit StopMatcher(const StopStrings& strings)
      : strings_(strings), matched_(strings.size(), 0) {}

  struct Match {
    size_t string;  // index
    size_t end;     // offset into the piece just after the match
  };

  // Reads on to the first byte at which a stop string ends (the longest, if several do) and stops
  // there; with kIgnore, and when there is none, reads the whole piece.
  std::optional<Match> Append(absl::string_view piece, StopMode mode);

  // Bytes at the end of the text that may turn out to begin a stop string.
  size_t num_held_bytes() const;

 private:
  std::optional<size_t> Step(char next);  // the longest string that ends with `next`

  const StopStrings& strings_;
  std::vector<uint32_t> matched_;  // [strings], each less than the string's length
};

}  // namespace spearfish::worker

#endif  // WORKER_ENGINE_STOP_MATCHER_H_
