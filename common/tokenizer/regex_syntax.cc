#include "common/tokenizer/regex_syntax.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/quote.h"

namespace spearfish {
namespace {

// Escapes with another meaning in PCRE2, or none in Oniguruma.
constexpr absl::string_view kForeignEscapes = "wWbBhHKGRXyYNOCQEUVMcgk";

absl::Status Unsupported(absl::string_view what, absl::string_view pattern) {
  return absl::UnimplementedError(absl::StrCat("unsupported syntax in pre-tokenizer regex: ", what,
                                               " in ", Quote(pattern),
                                               "; rewrite the pattern with \\p{...} classes"));
}

// Reads a pattern from left to right, copying it with the differences removed.
class Translator {
 public:
  explicit Translator(absl::string_view pattern) : pattern_(pattern) {}

  absl::StatusOr<std::string> Translate() {
    if (absl::StartsWith(pattern_, "(*")) return Unsupported("(*", pattern_);
    while (at_ < pattern_.size()) {
      SF_RETURN_IF_ERROR(Step());
    }
    return out_;
  }

 private:
  absl::Status Step() {
    if (pattern_[at_] == '\\' && at_ + 1 < pattern_.size()) return Escape();
    if (in_class_) return InsideClass();
    if (pattern_[at_] == '[') {
      in_class_ = true;
      Copy(1);
      if (Here("^")) Copy(1);
      if (Here("]")) Copy(1);  // a literal bracket
      return absl::OkStatus();
    }
    if (Here("(?")) SF_RETURN_IF_ERROR(CheckGroup());
    Copy(1);
    return absl::OkStatus();
  }

  // Groups and options of which both languages think alike. Oniguruma reads m as PCRE2's s, and an
  // option that is set without a group takes the alternatives after it along.
  absl::Status CheckGroup() const {
    const absl::string_view rest = pattern_.substr(at_ + 2);
    const size_t num_options = std::min(rest.find_first_not_of("ix-"), rest.size());
    const absl::string_view next = rest.substr(num_options, 1);
    const bool known = num_options == 0 ? absl::StrContains(":=!<>", next) && !next.empty()
                                        : next == ":" || (next == ")" && at_ == 0);
    if (known) return absl::OkStatus();
    return Unsupported(pattern_.substr(at_, 3 + num_options), pattern_);
  }

  absl::Status Escape() {
    const char name = pattern_[at_ + 1];
    if (absl::StrContains(kForeignEscapes, name)) {
      return Unsupported(pattern_.substr(at_, 2), pattern_);
    }
    if (name == 's' || name == 'S') {
      out_ += name == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      at_ += 2;
      return absl::OkStatus();
    }
    Copy(2);
    if (name == 'p' || name == 'P') Property();
    return absl::OkStatus();
  }

  // PCRE2 reads a bare script name as its Script_Extensions property, Oniguruma as Script.
  void Property() {
    static constexpr std::array<absl::string_view, 12> kScripts = {
        "Arabic", "Cyrillic", "Devanagari", "Greek", "Han",   "Hangul",
        "Hebrew", "Hiragana", "Katakana",   "Latin", "Tamil", "Thai"};
    for (const absl::string_view script : kScripts) {
      for (const absl::string_view open : {"{", "{^"}) {
        if (!Here(absl::StrCat(open, script, "}"))) continue;
        Copy(open.size());
        out_ += "sc:";
        return;
      }
    }
  }

  absl::Status InsideClass() {
    if (Here("&&") || Here("[")) return Unsupported("a set inside a class", pattern_);
    if (Here("]")) in_class_ = false;
    Copy(1);
    return absl::OkStatus();
  }

  bool Here(absl::string_view text) const { return absl::StartsWith(pattern_.substr(at_), text); }

  void Copy(size_t num_bytes) {
    out_.append(pattern_.data() + at_, num_bytes);
    at_ += num_bytes;
  }

  const absl::string_view pattern_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

absl::StatusOr<std::string> TranslateRegex(absl::string_view pattern) {
  return Translator(pattern).Translate();
}

}  // namespace spearfish
