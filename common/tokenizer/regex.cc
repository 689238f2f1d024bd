#include "common/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/quote.h"
#include "common/tokenizer/regex_syntax.h"
#include "common/tokenizer/utf8.h"

namespace spearfish {
namespace {

constexpr size_t kMostPatternBytes = 64 * kKiB;
constexpr uint32_t kMostNestedGroups = 100;

// A sane pattern takes a few steps a byte; these end a hostile one within about a second.
constexpr uint64_t kLeastMatchSteps = 1'000'000;
constexpr uint64_t kMatchStepsPerByte = 32;
constexpr uint32_t kMostHeapKiB = 256 * 1024;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;

std::string ErrorText(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

uint32_t CompileOptions(PatternKind kind) {
  if (kind == PatternKind::kString) return PCRE2_UTF | PCRE2_LITERAL;
  // MULTILINE: in Oniguruma ^ and $ are always at line ends.
  return PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
}

// One search over a text: the match state that a Regex cannot share between threads.
class Search {
 public:
  Search(const pcre2_code* code, absl::string_view text)
      : code_(code),
        text_(text),
        data_(pcre2_match_data_create(1, nullptr)),
        context_(pcre2_match_context_create(nullptr)) {
    SF_CHECK(data_ != nullptr && context_ != nullptr);
    const uint64_t steps = kLeastMatchSteps + kMatchStepsPerByte * text.size();
    pcre2_set_match_limit(context_.get(),
                          static_cast<uint32_t>(std::min<uint64_t>(steps, UINT32_MAX)));
    pcre2_set_heap_limit(context_.get(), kMostHeapKiB);
  }

  // True and `match` set if there is a match at or after `from`.
  absl::StatusOr<bool> Next(size_t from, ByteRange& match) {
    int result = Match(from, 0);
    // The JIT's stack is small; the interpreter keeps its state on the heap.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = Match(from, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("pre-tokenizer regex gave up: ", ErrorText(result), " after byte ", from,
                       " of ", text_.size(), "; send less or simpler text"));
    }
    const size_t* ends = pcre2_get_ovector_pointer(data_.get());
    match = {ends[0], ends[1]};
    return true;
  }

 private:
  int Match(size_t from, uint32_t options) {
    // The text was checked once; checking it again for every match would be quadratic.
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), from,
                       PCRE2_NO_UTF_CHECK | options, data_.get(), context_.get());
  }

  const pcre2_code* const code_;
  const absl::string_view text_;
  const MatchData data_;
  const MatchContext context_;
};

}  // namespace

void Regex::CodeDeleter::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

absl::StatusOr<Regex> Regex::Create(PatternKind kind, absl::string_view pattern) {
  std::string translated(pattern.data(), pattern.size());
  if (kind == PatternKind::kRegex) {
    SF_ASSIGN_OR_RETURN(translated, TranslateRegex(pattern));
  }
  const CompileContext context(pcre2_compile_context_create(nullptr));
  SF_CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(context.get(), kMostPatternBytes);
  pcre2_set_parens_nest_limit(context.get(), kMostNestedGroups);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    CompileOptions(kind), &error, &offset, context.get());
  if (code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pre-tokenizer regex does not compile: ", ErrorText(error), " at byte ", offset, " of ",
        Quote(translated), "; correct pre_tokenizer in tokenizer.json"));
  }
  // Where the machine forbids executable memory this fails, and the interpreter matches instead.
  static_cast<void>(pcre2_jit_compile(code, PCRE2_JIT_COMPLETE));
  return Regex(code);
}

absl::Status Regex::ForEachMatch(absl::string_view text, MatchFunction match) const {
  Search search(code_.get(), text);
  std::optional<size_t> last_end;
  size_t from = 0;
  while (from <= text.size()) {
    ByteRange found{};
    SF_ASSIGN_OR_RETURN(const bool any, search.Next(from, found));
    if (!any) break;
    from = found.end;
    if (found.begin == found.end && found.end == last_end) {
      from += from == text.size() ? 1 : NextUtf8(text.substr(from)).size;
      continue;
    }
    last_end = found.end;
    SF_RETURN_IF_ERROR(match(found));
  }
  return absl::OkStatus();
}

}  // namespace spearfish
