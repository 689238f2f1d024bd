#include "common/rpc/certificate_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, Free>;

void AddName(X509& certificate, const std::string& text) {
  X509_NAME_add_entry_by_NID(X509_get_subject_name(&certificate), NID_commonName, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()), -1, 0);
}

// Unsigned: the names are read whoever vouches for them. `alternative` as openssl.cnf writes them.
Certificate Named(const std::string& common, const std::string& alternative) {
  Certificate certificate(X509_new());
  if (!common.empty()) AddName(*certificate, common);
  if (alternative.empty()) return certificate;
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative.c_str());
  EXPECT_NE(extension, nullptr) << alternative;
  X509_add_ext(certificate.get(), extension, -1);
  X509_EXTENSION_free(extension);
  return certificate;
}

TEST(CertificateNames, PutsAlternativeNamesBeforeTheCommonName) {
  const Certificate certificate = Named("gateway", "DNS:b.example,DNS:a.example");
  EXPECT_THAT(NamesOf(*certificate), ElementsAre("b.example", "a.example", "gateway"));
}

TEST(CertificateNames, KnowsEveryKindThatHasAText) {
  const Certificate certificate =
      Named("", "IP:10.1.2.3,email:a@b.example,URI:spiffe://site/x,RID:1.2.3.4,IP:fe80::1");
  EXPECT_THAT(NamesOf(*certificate),
              ElementsAre("10.1.2.3", "a@b.example", "spiffe://site/x", "fe80::1"));
}

TEST(CertificateNames, TakesTheFirstOfSeveralCommonNames) {
  const Certificate certificate = Named("first", "");
  AddName(*certificate, "second");
  EXPECT_THAT(NamesOf(*certificate), ElementsAre("first"));
}

// Who compares them must not take "gateway" for it.
TEST(CertificateNames, KeepsEveryByte) {
  const std::string name("gateway\0.other", 14);
  const Certificate certificate = Named(name, "");
  EXPECT_THAT(NamesOf(*certificate), ElementsAre(name));
}

TEST(CertificateNames, MayBeNone) { EXPECT_THAT(NamesOf(*Named("", "")), IsEmpty()); }

}  // namespace
}  // namespace spearfish
