#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "common/base/check.h"

namespace spearfish::tests {

TempDir::TempDir() : path_(::testing::TempDir() + "spearfish-" + std::string(6, 'X')) {
  SF_CHECK(mkdtemp(path_.data()) != nullptr);
}

TempDir::~TempDir() {
  std::error_code ignored;  // a test may have removed it itself
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace spearfish::tests
