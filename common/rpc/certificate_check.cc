#include "common/rpc/certificate_check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace spearfish {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

Bio ReaderOf(absl::string_view text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  SF_CHECK(bio != nullptr);
  return bio;
}

// Instead of OpenSSL's own, which would ask on the terminal.
int NoPassphrase(char* /*buffer*/, int /*bytes*/, int /*writing*/, void* /*unused*/) { return 0; }

// Up to the first thing that is no certificate.
std::vector<Certificate> Certificates(absl::string_view pem) {
  const Bio bio = ReaderOf(pem);
  std::vector<Certificate> certificates;
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  ERR_clear_error();  // the end of the text is one; the thread's next user must not see it
  return certificates;
}

std::string ToText(const ASN1_TIME& time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(&time, &parts) != 1) return "an unreadable time";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromTM(parts, absl::UTCTimeZone()),
                          absl::UTCTimeZone());
}

absl::Status CheckTime(const X509& certificate, absl::Time now) {
  std::time_t at = absl::ToTimeT(now);
  if (X509_cmp_time(X509_get0_notBefore(&certificate), &at) >= 0) {
    return absl::InvalidArgumentError(absl::StrCat("the certificate is not valid before ",
                                                   ToText(*X509_get0_notBefore(&certificate)),
                                                   "; check the clock or renew it"));
  }
  if (X509_cmp_time(X509_get0_notAfter(&certificate), &at) <= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the certificate expired on ", ToText(*X509_get0_notAfter(&certificate)), "; renew it"));
  }
  return absl::OkStatus();
}

absl::Status NoCertificate() {
  return absl::InvalidArgumentError(
      "there is no PEM certificate in it; it begins with -----BEGIN CERTIFICATE-----");
}

}  // namespace

absl::Status CheckCertificate(absl::string_view pem, absl::Time now) {
  const std::vector<Certificate> chain = Certificates(pem);
  return chain.empty() ? NoCertificate() : CheckTime(*chain[0], now);
}

absl::Status CheckPrivateKey(absl::string_view key_pem, absl::string_view certificate_pem) {
  const absl::Cleanup clear_errors = [] { ERR_clear_error(); };
  const Bio bio = ReaderOf(key_pem);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        "there is no PEM private key without a passphrase in it; decrypt it with openssl pkey");
  }
  const std::vector<Certificate> chain = Certificates(certificate_pem);
  if (chain.empty()) return NoCertificate();
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        "the private key does not belong to the certificate; give the pair that was made together");
  }
  return absl::OkStatus();
}

absl::Status CheckAuthorities(absl::string_view pem, absl::Time now) {
  const std::vector<Certificate> authorities = Certificates(pem);
  if (authorities.empty()) return NoCertificate();
  const bool any_valid =
      std::any_of(authorities.begin(), authorities.end(),
                  [now](const Certificate& one) { return CheckTime(*one, now).ok(); });
  return any_valid ? absl::OkStatus() : CheckTime(*authorities[0], now);
}

}  // namespace spearfish
