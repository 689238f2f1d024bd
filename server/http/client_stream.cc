#include "server/http/client_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/rpc/certificate_names.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::string PeerOf(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const asio::ip::address address = endpoint.address();
  if (address.is_v4()) return absl::StrCat("ipv4:", address.to_string());
  if (address.to_v6().is_v4_mapped()) {
    const auto inner = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return absl::StrCat("ipv4:", inner.to_string());
  }
  return absl::StrCat("ipv6:[", address.to_string(), "]");
}

}  // namespace

ClientStream::ClientStream(tcp::socket socket, asio::ssl::context* tls)
    : socket_(std::move(socket)), peer_(PeerOf(socket_)), through_tls_(tls != nullptr) {
  if (tls != nullptr) tls_.emplace(socket_, *tls);
}

std::vector<std::string> ClientStream::CertificateNames() {
  if (!through_tls_) return {};
  const X509* const certificate = SSL_get0_peer_certificate(tls_->native_handle());
  return certificate == nullptr ? std::vector<std::string>() : NamesOf(*certificate);
}

void ClientStream::Handshake(std::function<void(const ErrorCode& error)> done) {
  if (!through_tls_) {
    asio::post(get_executor(), [done = std::move(done)] { done({}); });
    return;
  }
  tls_->async_handshake(asio::ssl::stream_base::server,
                        [this, done = std::move(done)](const error_code& error) {
                          if (error) through_tls_ = false;
                          done(error);
                        });
}

bool ClientStream::IsOfTls(const ErrorCode& error) {
  return error.category() == asio::error::get_ssl_category();
}

bool ClientStream::IsPlainHttp(const ErrorCode& error) {
  const auto code = static_cast<uint32_t>(error.value());
  return IsOfTls(error) && ERR_GET_LIB(code) == ERR_LIB_SSL &&
         ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
}

void ClientStream::Read(asio::mutable_buffer into, Done done) {
  if (through_tls_) {
    tls_->async_read_some(into, std::move(done));
  } else {
    socket_.async_read_some(into, std::move(done));
  }
}

void ClientStream::Write(asio::const_buffer bytes, Done done) {
  writing_ = true;
  auto written = [this, done = std::move(done)](const error_code& error, size_t count) {
    writing_ = false;
    done(error, count);
  };
  if (through_tls_) {
    asio::async_write(*tls_, bytes, std::move(written));
  } else {
    asio::async_write(socket_, bytes, std::move(written));
  }
}

// Asio's own shutdown would wait for the client's close_notify before the FIN could be sent. So the
// record is made here, in a buffer that takes what TLS writes from now on.
std::string ClientStream::CloseNotify() {
  through_tls_ = false;
  BIO* const out = BIO_new(BIO_s_mem());
  SF_CHECK(out != nullptr);
  SSL_set0_wbio(tls_->native_handle(), out);  // which owns it
  SSL_shutdown(tls_->native_handle());
  ERR_clear_error();  // none is made in the middle of a handshake, or after a broken record
  char* bytes = nullptr;
  const int64_t count = BIO_get_mem_data(out, &bytes);
  return count > 0 ? std::string(bytes, static_cast<size_t>(count)) : std::string();
}

void ClientStream::SendFin() {
  error_code ignored;  // the client may have gone
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void ClientStream::Finish(std::function<void()> done) {
  if (through_tls_) farewell_ = CloseNotify();
  asio::async_write(socket_, asio::buffer(farewell_),
                    [this, done = std::move(done)](const error_code& /*gone*/, size_t /*bytes*/) {
                      SendFin();
                      done();
                    });
}

void ClientStream::Close() {
  if (through_tls_ && !writing_ && socket_.is_open()) {
    const std::string farewell = CloseNotify();
    send(socket_.native_handle(), farewell.data(), farewell.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  error_code ignored;  // closed is closed
  socket_.close(ignored);
}

}  // namespace spearfish::server
