// A compiled pattern of a pre-tokenizer, over PCRE2.
#ifndef COMMON_TOKENIZER_REGEX_H_
#define COMMON_TOKENIZER_REGEX_H_

#include <cstddef>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/tokenizer_spec.h"

struct pcre2_real_code_8;

namespace spearfish {

struct ByteRange {
  size_t begin;
  size_t end;
};

// Owns the compiled code. Immutable after Create, so any thread may search with it.
class Regex {
 public:
  // A regular expression is in the syntax of tokenizer.json (regex_syntax.h). InvalidArgument for
  // one that does not compile, with the position; Unimplemented for what the syntax leaves out.
  static absl::StatusOr<Regex> Create(PatternKind kind, absl::string_view pattern);

  using MatchFunction = absl::FunctionRef<absl::Status(const ByteRange& match)>;

  // Calls `match` with all matches, leftmost first, without overlap; an empty match directly after
  // the previous match does not count. `text` must be valid UTF-8; ranges lie on character
  // boundaries. InvalidArgument when a match needs more steps or memory than a text of its size may
  // take; stops at the first error of `match` and returns it.
  absl::Status ForEachMatch(absl::string_view text, MatchFunction match) const;

 private:
  struct CodeDeleter {
    void operator()(pcre2_real_code_8* code) const;
  };

  explicit Regex(pcre2_real_code_8* code) : code_(code) {}

  std::unique_ptr<pcre2_real_code_8, CodeDeleter> code_;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_REGEX_H_
