// Where in a template something stands, for error messages.
#ifndef COMMON_CHAT_SOURCE_POSITION_H_
#define COMMON_CHAT_SOURCE_POSITION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spearfish::chat {

// Both from 1; columns count bytes.
struct SourcePosition {
  uint32_t line = 1;
  uint32_t column = 1;
};

// `status` with the place in front of its message; the innermost place stays. OK stays OK.
inline absl::Status At(SourcePosition at, const absl::Status& status) {
  constexpr absl::string_view kPrefix = "chat template, line ";
  if (status.ok() || absl::StartsWith(status.message(), kPrefix)) return status;
  return absl::Status(status.code(), absl::StrCat(kPrefix, at.line, ", column ", at.column, ": ",
                                                  status.message()));
}

// A construct that is beyond what is supported: the template is refused rather than guessed at.
inline absl::Status Refused(SourcePosition at, absl::string_view construct) {
  return At(at, absl::UnimplementedError(absl::StrCat(construct, " is not supported")));
}

inline absl::Status SyntaxError(SourcePosition at, absl::string_view what) {
  return At(at, absl::InvalidArgumentError(what));
}

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_SOURCE_POSITION_H_
