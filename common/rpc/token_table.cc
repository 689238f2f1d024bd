#include "common/rpc/token_table.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

bool IsVisible(char c) { return c > ' ' && c < 0x7f; }

bool IsNameChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("._@/-").find(c) != absl::string_view::npos;
}

absl::Status InvalidLine(size_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("bad token file: line ", line, ": ", what,
                                                 "; write NAME TOKEN or TOKEN, one a line"));
}

// A '#' inside a token is part of it.
absl::string_view WithoutComment(absl::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '#') continue;
    if (i == 0 || absl::ascii_isspace(static_cast<unsigned char>(line[i - 1]))) {
      return line.substr(0, i);
    }
  }
  return line;
}

struct Line {
  absl::string_view name;  // may be empty
  absl::string_view token;
  size_t number;
};

absl::Status CheckName(absl::string_view name, size_t line) {
  if (name.size() > TokenTable::kMaxNameChars) {
    return InvalidLine(line, absl::StrCat("the name has ", name.size(), " characters, at most ",
                                          TokenTable::kMaxNameChars));
  }
  if (!std::all_of(name.begin(), name.end(), IsNameChar)) {
    return InvalidLine(line, "the name has characters other than letters, digits and ._@/-");
  }
  return absl::OkStatus();
}

absl::Status CheckToken(absl::string_view token, size_t line) {
  if (token.size() < TokenTable::kMinTokenChars || token.size() > TokenTable::kMaxTokenChars) {
    return InvalidLine(
        line, absl::StrCat("the token has ", token.size(), " characters, not ",
                           TokenTable::kMinTokenChars, " to ", TokenTable::kMaxTokenChars));
  }
  if (!std::all_of(token.begin(), token.end(), IsVisible)) {
    return InvalidLine(line, "the token has characters that are not visible ASCII");
  }
  return absl::OkStatus();
}

// Not empty.
absl::StatusOr<std::vector<Line>> ReadLines(absl::string_view text) {
  std::vector<Line> lines;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const std::vector<absl::string_view> words =
        absl::StrSplit(WithoutComment(line), absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    if (words.size() > 2) {
      return InvalidLine(number, absl::StrCat(words.size(), " words where two are the most"));
    }
    lines.push_back({.name = words.size() == 2 ? words[0] : absl::string_view(),
                     .token = words.back(),
                     .number = number});
    SF_RETURN_IF_ERROR(CheckName(lines.back().name, number));
    SF_RETURN_IF_ERROR(CheckToken(lines.back().token, number));
    if (lines.size() > TokenTable::kMaxTokens) {
      return InvalidLine(number, absl::StrCat("more than ", TokenTable::kMaxTokens, " tokens"));
    }
  }
  if (!lines.empty()) return lines;
  return absl::InvalidArgumentError(
      "no token in the token file; write NAME TOKEN or TOKEN, one a line");
}

}  // namespace

TokenTable::Digest TokenTable::DigestOf(absl::string_view token) {
  Digest digest;
  const int done =
      EVP_Digest(token.data(), token.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  SF_CHECK(done == 1);
  return digest;
}

void TokenTable::Add(absl::string_view name, absl::string_view token, size_t line) {
  Entry entry{.name = std::string(name), .digest = DigestOf(token), .line = line};
  if (name.empty()) {
    const absl::string_view digest(reinterpret_cast<const char*>(entry.digest.data()), 4);
    entry.name = absl::StrCat("unnamed-", absl::BytesToHexString(digest));
  }
  entries_.push_back(std::move(entry));
}

absl::Status TokenTable::CheckUnique() const {
  std::vector<const Entry*> sorted;
  for (const Entry& entry : entries_) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) {
    return a->digest < b->digest || (a->digest == b->digest && a->line < b->line);
  });
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i]->digest == sorted[i - 1]->digest) {
      return InvalidLine(sorted[i]->line,
                         absl::StrCat("the same token as in line ", sorted[i - 1]->line));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenTable> TokenTable::Parse(absl::string_view text) {
  TokenTable table;
  SF_ASSIGN_OR_RETURN(const std::vector<Line> lines, ReadLines(text));
  for (const Line& line : lines) table.Add(line.name, line.token, line.number);
  SF_RETURN_IF_ERROR(table.CheckUnique());
  return table;
}

absl::StatusOr<std::string> TokenTable::FirstToken(absl::string_view text) {
  SF_ASSIGN_OR_RETURN(const std::vector<Line> lines, ReadLines(text));
  return std::string(lines[0].token);
}

std::optional<std::string> TokenTable::NameOf(absl::string_view token) const {
  const Digest digest = DigestOf(token);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  return found->name;
}

}  // namespace spearfish
