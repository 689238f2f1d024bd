// A certificate authority of a test's own.
#ifndef TESTS_SUPPORT_TEST_AUTHORITY_H_
#define TESTS_SUPPORT_TEST_AUTHORITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace spearfish::tests {

// PEM texts.
struct TestIdentity {
  std::string certificate = {};
  std::string key = {};
};

struct TestIdentityOptions {
  std::string common_name = "test";
  std::vector<std::string> dns_names = {"localhost"};
  absl::Duration valid_from = -absl::Hours(1);  // both as of now
  absl::Duration valid_until = absl::Hours(1);
};

// Signs with an EC key that it makes up.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);
  ~TestAuthority();

  const std::string& certificate() const { return own_.certificate; }
  TestIdentity Issue(const TestIdentityOptions& options) const;

 private:
  struct Signer;
  const std::unique_ptr<Signer> signer_;
  TestIdentity own_;
};

}  // namespace spearfish::tests

#endif  // TESTS_SUPPORT_TEST_AUTHORITY_H_
