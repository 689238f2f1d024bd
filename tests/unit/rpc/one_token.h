// A token file with one token in it, for tests of what asks for tokens.
#ifndef TESTS_UNIT_RPC_ONE_TOKEN_H_
#define TESTS_UNIT_RPC_ONE_TOKEN_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/token_file.h"
#include "tests/support/temp_dir.h"

namespace spearfish::tests {

inline constexpr char kToken[] = "0123456789abcdef";

// kToken, of the name team.
inline std::unique_ptr<TokenFile> OneToken() {
  const TempDir folder;
  const std::string path = folder.File("tokens");
  std::ofstream(path) << "team " << kToken;
  chmod(path.c_str(), 0600);
  auto tokens = TokenFile::Open({.path = path, .look_interval = absl::InfiniteDuration()});
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return *std::move(tokens);
}

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_RPC_ONE_TOKEN_H_
