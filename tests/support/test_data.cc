#include "tests/support/test_data.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace spearfish::tests {

namespace {

// Where the sources lie: elsewhere when the binaries have travelled to another machine.
std::string SourceFolder() {
  const char* folder = std::getenv("SPEARFISH_SOURCE_DIR");
  return folder == nullptr ? SPEARFISH_SOURCE_DIR : folder;
}

}  // namespace

std::string BundledCheckpoint() { return SourceFolder() + "/tests/data/qwen3-moe-3m"; }
std::string BundledGolden() { return SourceFolder() + "/tests/data/golden/qwen3-moe-3m.json"; }

std::optional<std::string> SharedPath(const std::string& relative) {
  const char* shared = std::getenv("SPEARFISH_SHARED_DIR");
  const std::string path =
      (shared == nullptr ? SourceFolder() + "/../shared" : std::string(shared)) + "/" + relative;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) CheckFailed(__FILE__, __LINE__, absl::StrCat("cannot read ", path));
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) CheckFailed(__FILE__, __LINE__, absl::StrCat("cannot write ", path));
}

}  // namespace spearfish::tests
