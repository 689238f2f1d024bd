// A unique temporary directory for one test.
#ifndef TESTS_SUPPORT_TEMP_DIR_H_
#define TESTS_SUPPORT_TEMP_DIR_H_

#include <string>

namespace spearfish::tests {

// Owns the directory: created empty under ::testing::TempDir(), removed with its content by the
// destructor. Paths are short enough for unix socket addresses.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // The path of `name` inside the directory; nothing is created.
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace spearfish::tests

#endif  // TESTS_SUPPORT_TEMP_DIR_H_
