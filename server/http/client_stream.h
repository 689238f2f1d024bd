// A client's two-way stream of bytes: over TCP, or over TLS on it.
#ifndef SERVER_HTTP_CLIENT_STREAM_H_
#define SERVER_HTTP_CLIENT_STREAM_H_

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace spearfish::server {

// All functions run on the socket's executor, and so do the handlers; it must live until each
// handler has run, which Close brings about. At most one read and one write at a time. A read is
// never called off without closing: under TLS its bytes might be a part of a record, and what it
// sends in answer one, too.
class ClientStream {
 public:
  using Executor = boost::asio::ip::tcp::socket::executor_type;
  using ErrorCode = boost::system::error_code;
  using Done = std::function<void(const ErrorCode& error, size_t bytes)>;

  // `tls` null: in plain text. It need not outlive this.
  ClientStream(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls);

  Executor get_executor() { return socket_.get_executor(); }
  // "ipv4:127.0.0.1", "ipv6:[::1]": the host at the other end, as gRPC writes peers.
  const std::string& peer() const { return peer_; }
  // Of the certificate that the client showed and TLS verified: see common/rpc/certificate_names.h.
  std::vector<std::string> CertificateNames();

  // Before anything is read or written; done at once in plain text. After an error the stream goes
  // on in plain text, for what is left to say.
  void Handshake(std::function<void(const ErrorCode& error)> done);
  // Whether a handshake failed because the client spoke plain HTTP, or something else that is no
  // TLS, a version or a certificate that is not taken. Else the connection is at fault.
  static bool IsPlainHttp(const ErrorCode& error);
  static bool IsOfTls(const ErrorCode& error);

  void Read(boost::asio::mutable_buffer into, Done done);
  // All of `bytes`.
  void Write(boost::asio::const_buffer bytes, Done done);

  // After the last write: tells the client that nothing more comes (TLS's close_notify, then TCP's
  // FIN). What is read from now on is of no use but to see the client close.
  void Finish(std::function<void()> done);
  // Whatever is under way ends with an error. With a close_notify if that can be had at once.
  void Close();

 private:
  std::string CloseNotify();
  void SendFin();

  boost::asio::ip::tcp::socket socket_;
  const std::string peer_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  bool through_tls_;
  bool writing_ = false;
  std::string farewell_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_CLIENT_STREAM_H_
