// The files of a port that speaks TLS, and what clients of it trust.
#ifndef TESTS_UNIT_SERVER_HTTP_TLS_PORT_H_
#define TESTS_UNIT_SERVER_HTTP_TLS_PORT_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/tls_files.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_authority.h"

namespace spearfish::server {

// Looks at its files whenever it is asked.
class TlsPort {
 public:
  TlsPort() { Serve(authority_.Issue({})); }

  const tests::TestAuthority& authority() const { return authority_; }
  const tests::TestAuthority& clients() const { return clients_; }

  void Serve(const tests::TestIdentity& identity) {
    Put("key", identity.key);
    Put("cert", identity.certificate);
  }

  std::shared_ptr<ReloadedTls> Open() {
    return Opened({.certificate = folder_.File("cert"), .key = folder_.File("key")});
  }
  std::shared_ptr<ReloadedTls> OpenMutual() {
    Put("clients", clients_.certificate());
    return Opened({.certificate = folder_.File("cert"),
                   .key = folder_.File("key"),
                   .authorities = folder_.File("clients")});
  }

 private:
  void Put(const std::string& name, const std::string& text) {
    std::ofstream(folder_.File("fresh"), std::ios::binary) << text;
    ASSERT_EQ(chmod(folder_.File("fresh").c_str(), 0600), 0);
    std::filesystem::rename(folder_.File("fresh"), folder_.File(name));
  }
  static std::shared_ptr<ReloadedTls> Opened(TlsFiles files) {
    files.look_interval = absl::ZeroDuration();
    auto opened = OpenTlsFiles(files);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  tests::TempDir folder_;
  const tests::TestAuthority authority_{"server authority"};
  const tests::TestAuthority clients_{"client authority"};
};

}  // namespace spearfish::server

#endif  // TESTS_UNIT_SERVER_HTTP_TLS_PORT_H_
