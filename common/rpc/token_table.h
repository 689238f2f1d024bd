// Bearer tokens and their names, as a file lists them.
#ifndef COMMON_RPC_TOKEN_TABLE_H_
#define COMMON_RPC_TOKEN_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spearfish {

// Holds SHA-256 digests, not tokens. Immutable, so any thread may read it.
class TokenTable {
 public:
  static constexpr size_t kMinTokenChars = 16;
  static constexpr size_t kMaxTokenChars = 1024;
  static constexpr size_t kMaxNameChars = 64;
  static constexpr size_t kMaxTokens = 10000;

  // A line is `NAME TOKEN` or `TOKEN`; '#' at the line's begin or after a space begins a comment.
  // Tokens are visible ASCII; names are letters, digits and "._@/-". Several tokens may have one
  // name (while one replaces another). A token without a name is called "unnamed-" and eight digits
  // of its digest. InvalidArgument gives the line's number and never its text.
  static absl::StatusOr<TokenTable> Parse(absl::string_view text);

  // The token of the first line that has one, for those who send it. Errors as Parse's.
  static absl::StatusOr<std::string> FirstToken(absl::string_view text);

  // The name of `token`; nullopt if it is not in the table. Takes the same time whichever it is.
  std::optional<std::string> NameOf(absl::string_view token) const;

  size_t size() const { return entries_.size(); }

 private:
  using Digest = std::array<uint8_t, 32>;
  struct Entry {
    std::string name;
    Digest digest;
    size_t line;
  };

  static Digest DigestOf(absl::string_view token);
  void Add(absl::string_view name, absl::string_view token, size_t line);
  absl::Status CheckUnique() const;

  std::vector<Entry> entries_;
};

}  // namespace spearfish

#endif  // COMMON_RPC_TOKEN_TABLE_H_
