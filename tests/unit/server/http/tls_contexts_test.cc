#include "server/http/tls_contexts.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/unit/server/http/tls_port.h"

namespace spearfish::server {
namespace {

std::string PemOf(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  EXPECT_EQ(write(bio.get()), 1);
  char* text = nullptr;
  const auto bytes = static_cast<size_t>(BIO_get_mem_data(bio.get(), &text));
  return {text, bytes};
}

// A pair that belongs together, with a key too weak for OpenSSL's security level.
tests::TestIdentity Weak() {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_RSA_gen(512), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), X509_free);
  X509_set_pubkey(certificate.get(), key.get());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  return {
      .certificate = PemOf([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); }),
      .key = PemOf([&](BIO* out) {
        return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
      })};
}

TEST(TlsContexts, MakesOneForEachVersionOfTheFiles) {
  TlsPort port;
  const auto contexts = TlsContexts::Create(port.Open());
  ASSERT_TRUE(contexts.ok()) << contexts.status();
  SSL_CTX* const first = (*contexts)->Current().native_handle();
  SSL_CTX_up_ref(first);  // so that no other one gets its address
  EXPECT_EQ((*contexts)->Current().native_handle(), first);
  port.Serve(port.authority().Issue({}));
  SSL_CTX* const second = (*contexts)->Current().native_handle();
  EXPECT_NE(second, first);
  EXPECT_EQ((*contexts)->Current().native_handle(), second);
  SSL_CTX_free(first);
}

TEST(TlsContexts, KeepsTheLastGoodOne) {
  TlsPort port;
  const auto contexts = TlsContexts::Create(port.Open());
  ASSERT_TRUE(contexts.ok()) << contexts.status();
  SSL_CTX* const good = (*contexts)->Current().native_handle();
  port.Serve(Weak());
  EXPECT_EQ((*contexts)->Current().native_handle(), good);
  EXPECT_EQ((*contexts)->Current().native_handle(), good);
}

TEST(TlsContexts, RefusesWhatOpenSslDoesNotTake) {
  TlsPort port;
  port.Serve(Weak());
  const auto contexts = TlsContexts::Create(port.Open());
  ASSERT_FALSE(contexts.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(contexts.status())) << contexts.status();
}

TEST(TlsContexts, AsksForCertificatesWhereThereAreAuthorities) {
  TlsPort port;
  const auto open = TlsContexts::Create(port.Open());
  const auto mutual = TlsContexts::Create(port.OpenMutual());
  ASSERT_TRUE(open.ok() && mutual.ok());
  EXPECT_EQ(SSL_CTX_get_verify_mode((*open)->Current().native_handle()), SSL_VERIFY_NONE);
  SSL_CTX* const context = (*mutual)->Current().native_handle();
  EXPECT_EQ(SSL_CTX_get_verify_mode(context), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
  EXPECT_EQ(sk_X509_NAME_num(SSL_CTX_get_client_CA_list(context)), 1);
}

}  // namespace
}  // namespace spearfish::server
