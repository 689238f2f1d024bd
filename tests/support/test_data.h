// Where tests find checkpoints, goldens and text.
#ifndef TESTS_SUPPORT_TEST_DATA_H_
#define TESTS_SUPPORT_TEST_DATA_H_

#include <optional>
#include <string>

namespace spearfish::tests {

// The Qwen3-MoE checkpoint (3 M parameters) that the repository bundles, and its goldens.
std::string BundledCheckpoint();
std::string BundledGolden();

// A file or folder of the reference material beside the repository ("models/qwen3-moe-15m",
// "golden/qwen3-moe-15m.json", "text/validation.txt"); nothing where that is absent, so a test that
// needs it can skip itself.
std::optional<std::string> SharedPath(const std::string& relative);

// A whole file; a file that can't be read ends the test process with its name.
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

}  // namespace spearfish::tests

#endif  // TESTS_SUPPORT_TEST_DATA_H_
