// Any text: the token file's reader fails cleanly and without quoting it, or keeps the promises of
// its header.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/rpc/bearer_token.h"
#include "common/rpc/token_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using spearfish::TokenTable;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const std::optional<absl::string_view> token = spearfish::BearerToken(text);
  SF_CHECK(!token.has_value() || absl::EndsWith(text, *token));
  const absl::StatusOr<TokenTable> table = TokenTable::Parse(text);
  const absl::StatusOr<std::string> first = TokenTable::FirstToken(text);
  if (!table.ok()) {
    SF_CHECK(table.status().message().size() < 256);
    return 0;
  }
  SF_CHECK(table->size() > 0 && table->size() <= TokenTable::kMaxTokens);
  SF_CHECK(first.ok() && first->size() >= TokenTable::kMinTokenChars);
  const std::optional<std::string> name = table->NameOf(*first);
  SF_CHECK(name.has_value() && !name->empty() && name->size() <= TokenTable::kMaxNameChars);
  SF_CHECK(!table->NameOf(*first + "x").has_value() || table->size() > 1);
  SF_CHECK(!table->NameOf("").has_value());
  return 0;
}
