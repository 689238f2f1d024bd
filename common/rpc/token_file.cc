#include "common/rpc/token_file.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/rpc/file_version.h"

namespace spearfish {
namespace {

constexpr size_t kMaxBytes = 16 << 20;

absl::StatusOr<TokenTable> ReadTokens(const TokenFileOptions& options) {
  SF_ASSIGN_OR_RETURN(const SmallFile file, ReadSmallFile(options.flag, options.path, kMaxBytes));
  if ((file.mode & (S_IROTH | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "%s: everybody may read or write %s (mode %04o); chmod 600 it (in Kubernetes: defaultMode "
        "0440)",
        options.flag, options.path, file.mode & 0777u));
  }
  absl::StatusOr<TokenTable> table = TokenTable::Parse(file.text);
  if (table.ok()) return table;
  return absl::InvalidArgumentError(
      absl::StrCat(options.flag, ": ", options.path, ": ", table.status().message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const TokenFileOptions& options) {
  SF_ASSIGN_OR_RETURN(
      std::unique_ptr<Table> table,
      Table::Create(
          {.what = "token file", .paths = {options.path}, .interval = options.look_interval},
          [options] { return ReadTokens(options); }));
  return std::unique_ptr<TokenFile>(new TokenFile(std::move(table)));
}

}  // namespace spearfish
