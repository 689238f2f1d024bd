#include "common/rpc/certificate_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/test_authority.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;
using tests::TestAuthority;
using tests::TestIdentity;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(CertificateCheck, AcceptsAPairAndItsChain) {
  const TestAuthority authority("ca");
  const TestIdentity identity = authority.Issue({});
  const std::string chain = identity.certificate + authority.certificate();
  EXPECT_TRUE(CheckCertificate(chain, absl::Now()).ok());
  EXPECT_TRUE(CheckPrivateKey(identity.key, chain).ok());
  EXPECT_TRUE(CheckAuthorities(authority.certificate(), absl::Now()).ok());
}

TEST(CertificateCheck, RefusesAnExpiredAndAnEarlyCertificate) {
  const TestAuthority authority("ca");
  const TestIdentity expired = authority.Issue({.valid_until = -absl::Minutes(1)});
  EXPECT_THAT(Message(CheckCertificate(expired.certificate, absl::Now())), HasSubstr("expired on"));
  const TestIdentity early = authority.Issue({.valid_from = absl::Minutes(10)});
  EXPECT_THAT(Message(CheckCertificate(early.certificate, absl::Now())),
              HasSubstr("not valid before"));
}

TEST(CertificateCheck, RefusesTheKeyOfAnother) {
  const TestAuthority authority("ca");
  const TestIdentity one = authority.Issue({});
  const TestIdentity other = authority.Issue({});
  EXPECT_THAT(Message(CheckPrivateKey(other.key, one.certificate)), HasSubstr("does not belong"));
}

TEST(CertificateCheck, RefusesWhatIsNoPem) {
  const TestAuthority authority("ca");
  const TestIdentity identity = authority.Issue({});
  for (const std::string& text :
       {std::string(), std::string("garbage"), identity.key, identity.certificate.substr(0, 100)}) {
    EXPECT_THAT(Message(CheckCertificate(text, absl::Now())), HasSubstr("no PEM certificate"));
    EXPECT_THAT(Message(CheckAuthorities(text, absl::Now())), HasSubstr("no PEM certificate"));
  }
  EXPECT_THAT(Message(CheckPrivateKey(identity.certificate, identity.certificate)),
              HasSubstr("no PEM private key"));
}

TEST(CertificateCheck, AcceptsAuthoritiesOfWhichOneIsValid) {
  const TestAuthority authority("ca");
  const TestIdentity expired = authority.Issue({.valid_until = -absl::Minutes(1)});
  EXPECT_TRUE(CheckAuthorities(expired.certificate + authority.certificate(), absl::Now()).ok());
  EXPECT_FALSE(CheckAuthorities(expired.certificate, absl::Now()).ok());
}

}  // namespace
}  // namespace spearfish
