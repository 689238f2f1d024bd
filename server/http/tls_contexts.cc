#include "server/http/tls_contexts.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

// A length, then the name.
constexpr unsigned char kProtocols[] = "\x08http/1.1";
// Forward secrecy and authenticated encryption; those of TLS 1.3 all have both.
constexpr char kCiphersOfTls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

int ChooseProtocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_bytes,
                   const unsigned char* offered, unsigned int offered_bytes, void* /*unused*/) {
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_bytes, kProtocols, sizeof(kProtocols) - 1,
                                          offered, offered_bytes);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void Harden(SSL_CTX& context) {
  SF_CHECK(SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION) == 1);
  SF_CHECK(SSL_CTX_set_cipher_list(&context, kCiphersOfTls12) == 1);
  SSL_CTX_set_options(&context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(&context, 0);
  SSL_CTX_set_alpn_select_cb(&context, ChooseProtocol, nullptr);
}

// Clients with several certificates choose by these names.
void NameAuthorities(SSL_CTX& context, const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  SF_CHECK(bio != nullptr);
  const absl::Cleanup release = [bio] { BIO_free(bio); };
  while (X509* const authority = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
    SSL_CTX_add_client_CA(&context, authority);
    X509_free(authority);
  }
  ERR_clear_error();  // the end of the text is one
}

absl::StatusOr<std::unique_ptr<ssl::context>> MakeContext(const TlsMaterial& material) {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  Harden(*context->native_handle());
  error_code error;
  context->use_certificate_chain(asio::buffer(material.certificate), error);
  if (!error) context->use_private_key(asio::buffer(material.key), ssl::context::pem, error);
  if (!error && !material.authorities.empty()) {
    NameAuthorities(*context->native_handle(), material.authorities);
    context->add_certificate_authority(asio::buffer(material.authorities), error);
    if (!error) {
      context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
    }
  }
  if (!error) return context;
  return absl::InvalidArgumentError(
      absl::StrCat("OpenSSL does not take the certificates of HTTPS: ", error.message(),
                   "; see --tls-cert, --tls-key and --tls-client-ca"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContexts>> TlsContexts::Create(
    std::shared_ptr<ReloadedTls> files) {
  std::unique_ptr<TlsContexts> contexts(new TlsContexts(std::move(files)));
  contexts->tried_ = contexts->files_->Current();
  SF_ASSIGN_OR_RETURN(contexts->context_, MakeContext(*contexts->tried_));
  return contexts;
}

ssl::context& TlsContexts::Current() {
  std::shared_ptr<const TlsMaterial> now = files_->Current();
  if (now == tried_) return *context_;
  tried_ = std::move(now);
  absl::StatusOr<std::unique_ptr<ssl::context>> context = MakeContext(*tried_);
  if (context.ok()) {
    context_ = *std::move(context);
  } else {
    LogWarning(absl::StrCat(context.status().message(), "; the old ones stay in force"));
  }
  return *context_;
}

}  // namespace spearfish::server
