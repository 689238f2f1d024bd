#include "server/http/http_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/http/connection_set.h"
#include "server/http/tls_contexts.h"
#include "tests/unit/server/http/tls_port.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using ::testing::HasSubstr;

// Says back what it was told: whole, or byte for byte as events where the path is /events.
class Echo final : public HttpHandler {
 public:
  std::optional<HttpResponse> Refuse(HttpRequest& head) override {
    if (head.target != "/names") return std::nullopt;
    std::string names;
    for (const std::string& name : head.certificate_names) absl::StrAppend(&names, name, " ");
    return HttpResponse{.body = names};
  }
  std::shared_ptr<HttpExchange> Handle(HttpRequest request,
                                       std::shared_ptr<HttpReply> reply) override {
    if (request.target != "/events") {
      reply->Respond({.body = std::move(request.body)});
      return nullptr;
    }
    reply->BeginEvents({});
    Say(std::move(reply), std::move(request.body), 0);
    return nullptr;
  }

 private:
  static void Say(std::shared_ptr<HttpReply> reply, std::string text, size_t at) {
    const bool last = at + 1 == text.size();
    HttpReply& to = *reply;
    to.WriteEvents(text.substr(at, 1), last ? HttpReply::Last::kEnd : HttpReply::Last::kNo,
                   [reply = std::move(reply), text, at, last] {
                     if (!last) Say(reply, text, at + 1);
                   });
  }
};

// Connections over TLS, as the server makes them.
class HttpConnectionTest : public ::testing::Test {
 protected:
  ~HttpConnectionTest() override {
    asio::post(acceptor_.get_executor(), [this] { acceptor_.close(); });
    for (const auto& connection : connections_.All()) connection->Close();
    connections_.AwaitEmpty(absl::InfiniteFuture());
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
  }

  void Listen(const std::shared_ptr<ReloadedTls>& files) {
    auto contexts = TlsContexts::Create(files);
    ASSERT_TRUE(contexts.ok()) << contexts.status();
    contexts_ = *std::move(contexts);
    Accept();
    for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { io_.run(); });
  }

  void Accept() {
    acceptor_.async_accept(
        asio::make_strand(io_), [this](const error_code& error, tcp::socket socket) {
          if (error) return;
          const uint64_t id = connections_.NewId();
          auto connection = HttpConnection::Create(
              std::make_unique<ClientStream>(std::move(socket), &contexts_->Current()),
              {.handler = echo_, .options = options_, .bodies = bodies_},
              [this, id] { connections_.Remove(id); });
          connections_.Add(id, connection);
          connection->Start();
          Accept();
        });
  }

  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  TlsPort port_;
  HttpOptions options_;
  Echo echo_;
  BodyBudget bodies_{1 << 20};
  ConnectionSet connections_;
  std::unique_ptr<TlsContexts> contexts_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  tcp::acceptor acceptor_{asio::make_strand(io_),
                          tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::vector<std::thread> threads_;
};

// Blocks; a server that says nothing fails the test by its time limit.
class TlsClient {
 public:
  TlsClient(const tcp::endpoint& server, const tests::TestAuthority& trusted,
            const tests::TestIdentity& own = {}) {
    context_.add_certificate_authority(asio::buffer(trusted.certificate()));
    context_.set_verify_mode(ssl::verify_peer);
    if (!own.certificate.empty()) {
      context_.use_certificate_chain(asio::buffer(own.certificate));
      context_.use_private_key(asio::buffer(own.key), ssl::context::pem);
    }
    stream_ = std::make_unique<ssl::stream<tcp::socket>>(io_, context_);
    stream_->lowest_layer().connect(server);
  }

  error_code Handshake() {
    error_code error;
    stream_->handshake(ssl::stream_base::client, error);
    return error;
  }
  void Send(const std::string& text) { asio::write(*stream_, asio::buffer(text)); }
  // The body of the next answer.
  std::string Answer() {
    http::response<http::string_body> response;
    http::read(*stream_, buffer_, response);
    return response.body();
  }
  // How the stream ends: eof after TLS's own end, else stream_truncated.
  error_code End() {
    error_code error;
    std::string rest;
    asio::read(*stream_, asio::dynamic_buffer(rest), error);
    return error;
  }
  SSL* native_handle() { return stream_->native_handle(); }

 private:
  asio::io_context io_;
  ssl::context context_{ssl::context::tls_client};
  std::unique_ptr<ssl::stream<tcp::socket>> stream_;
  boost::beast::flat_buffer buffer_;
};

std::string Post(const std::string& path, const std::string& body,
                 const std::string& version = "1.1") {
  return absl::StrCat("POST ", path, " HTTP/", version,
                      "\r\nHost: t\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

TEST_F(HttpConnectionTest, ServesRequestAfterRequest) {
  Listen(port_.Open());
  TlsClient client(endpoint(), port_.authority());
  ASSERT_FALSE(client.Handshake());
  for (size_t bytes : {0, 1, 100, 5000, 16384, 70000, 3}) {
    const std::string body(bytes, 'x');
    client.Send(Post("/", body));
    EXPECT_EQ(client.Answer(), body);
    client.Send(Post("/events", "events"));
    EXPECT_EQ(client.Answer(), "events");
  }
}

TEST_F(HttpConnectionTest, BodiesAreOfPostAlone) {
  Listen(port_.Open());
  TlsClient client(endpoint(), port_.authority());
  ASSERT_FALSE(client.Handshake());
  client.Send("GET / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
  EXPECT_THAT(client.Answer(), HasSubstr("POST only"));
}

TEST_F(HttpConnectionTest, ServesWhatWasSentAhead) {
  Listen(port_.Open());
  TlsClient client(endpoint(), port_.authority());
  ASSERT_FALSE(client.Handshake());
  const std::string last = Post("/", "last");
  client.Send(Post("/", "a") + Post("/events", "bcdef") + Post("/", std::string(100000, 'g')) +
              Post("/events", "h") + last.substr(0, 10));
  EXPECT_EQ(client.Answer(), "a");
  EXPECT_EQ(client.Answer(), "bcdef");
  EXPECT_EQ(client.Answer(), std::string(100000, 'g'));
  EXPECT_EQ(client.Answer(), "h");
  for (const char byte : last.substr(10)) client.Send(std::string(1, byte));
  EXPECT_EQ(client.Answer(), "last");
}

// A key update is a record to read in the middle of answers, and one to write.
TEST_F(HttpConnectionTest, ServesOverChangingKeys) {
  Listen(port_.Open());
  TlsClient client(endpoint(), port_.authority());
  ASSERT_FALSE(client.Handshake());
  ASSERT_EQ(SSL_version(client.native_handle()), TLS1_3_VERSION);
  for (int i = 0; i < 20; ++i) {
    client.Send(Post("/events", "abcdefghijklmnopqrstuvwxyz"));
    ASSERT_EQ(SSL_key_update(client.native_handle(), SSL_KEY_UPDATE_REQUESTED), 1);
    client.Send(Post("/", absl::StrCat(i)));
    EXPECT_EQ(client.Answer(), "abcdefghijklmnopqrstuvwxyz");
    EXPECT_EQ(client.Answer(), absl::StrCat(i));
  }
}

TEST_F(HttpConnectionTest, EndsAsTlsEnds) {
  Listen(port_.Open());
  TlsClient client(endpoint(), port_.authority());
  ASSERT_FALSE(client.Handshake());
  client.Send(Post("/events", "until the end", "1.0"));
  EXPECT_EQ(client.Answer(), "until the end");
  EXPECT_EQ(client.End(), asio::error::eof);

  TlsClient idle(endpoint(), port_.authority());
  ASSERT_FALSE(idle.Handshake());
  idle.Send(Post("/", "x"));
  EXPECT_EQ(idle.Answer(), "x");
  for (const auto& connection : connections_.All()) connection->Drain();
  EXPECT_EQ(idle.End(), asio::error::eof);
}

TEST_F(HttpConnectionTest, EndsIdleConnections) {
  options_.idle_timeout = absl::Milliseconds(50);
  Listen(port_.Open());
  TlsClient client(endpoint(), port_.authority());
  ASSERT_FALSE(client.Handshake());
  client.Send(Post("/", "x"));
  EXPECT_EQ(client.Answer(), "x");
  EXPECT_EQ(client.End(), asio::error::eof);
}

TEST_F(HttpConnectionTest, TellsPlainHttpThatThisIsHttps) {
  Listen(port_.Open());
  asio::io_context io;
  tcp::socket socket(io);
  socket.connect(endpoint());
  asio::write(socket, asio::buffer(Post("/", "in plain text")));
  std::string answer;
  error_code error;
  asio::read(socket, asio::dynamic_buffer(answer), error);
  EXPECT_EQ(error, asio::error::eof);
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("https://"));
}

TEST_F(HttpConnectionTest, ClosesWhatDoesNotShakeHands) {
  options_.header_timeout = absl::Milliseconds(50);
  Listen(port_.Open());
  for (const std::string& said : {std::string(), std::string("\x16\x03\x01\x02", 4)}) {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect(endpoint());
    asio::write(socket, asio::buffer(said));
    std::string answer;
    error_code error;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    EXPECT_TRUE(error);
    EXPECT_EQ(answer, "");
  }
  EXPECT_TRUE(connections_.AwaitEmpty(absl::Now() + absl::Minutes(1)));
}

TEST_F(HttpConnectionTest, TellsTheNamesOfCertificates) {
  Listen(port_.OpenMutual());
  TlsClient alice(endpoint(), port_.authority(),
                  port_.clients().Issue({.common_name = "alice", .dns_names = {"a.example"}}));
  ASSERT_FALSE(alice.Handshake());
  alice.Send("GET /names HTTP/1.1\r\n\r\n");
  EXPECT_EQ(alice.Answer(), "a.example alice ");
  // TLS 1.3 tells clients after the handshake what is wrong with them.
  for (const tests::TestIdentity& other :
       {tests::TestIdentity(), port_.authority().Issue({.common_name = "alice"})}) {
    TlsClient client(endpoint(), port_.authority(), other);
    client.Handshake();
    EXPECT_EQ(client.End().category(), asio::error::get_ssl_category());
  }
}

}  // namespace
}  // namespace spearfish::server
