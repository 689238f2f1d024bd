// The bearer tokens that a server accepts, from a file that may change while it runs.
#ifndef COMMON_RPC_TOKEN_FILE_H_
#define COMMON_RPC_TOKEN_FILE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/rpc/reloaded_files.h"
#include "common/rpc/token_table.h"

namespace spearfish {

struct TokenFileOptions {
  std::string flag = "--auth-tokens-file";  // for errors
  std::string path = {};
  absl::Duration look_interval = absl::Seconds(1);
};

// Thread-safe. A file that turns bad leaves the tokens as they were, and says so in the log.
class TokenFile {
 public:
  // Errors name flag, path and remedy: NotFound or PermissionDenied when it can't be read,
  // PermissionDenied when everybody may read or write it, InvalidArgument from TokenTable.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const TokenFileOptions& options);

  // As TokenTable::NameOf, of the tokens that the file has now (or had a look_interval ago).
  std::optional<std::string> NameOf(absl::string_view token) const {
    return table_->Current()->NameOf(token);
  }

 private:
  using Table = ReloadedFiles<TokenTable>;
  explicit TokenFile(std::unique_ptr<Table> table) : table_(std::move(table)) {}

  const std::unique_ptr<Table> table_;
};

}  // namespace spearfish

#endif  // COMMON_RPC_TOKEN_FILE_H_
