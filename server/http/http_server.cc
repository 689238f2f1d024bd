#include "server/http/http_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <future>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "server/http/body_budget.h"
#include "server/http/client_stream.h"
#include "server/http/connection_set.h"
#include "server/http/http_connection.h"
#include "server/http/local_services.h"
#include "server/http/openai_handler.h"
#include "server/http/tls_contexts.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// When the process is out of file descriptors, trying at once again would only heat the CPU.
constexpr std::chrono::milliseconds kAcceptPause{100};

absl::StatusOr<tcp::endpoint> Resolve(asio::io_context& io, const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("HTTP address has no port: ", listen, "; give --http-listen=HOST:PORT"));
  }
  absl::string_view host = absl::string_view(listen).substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  error_code error;
  const auto found = tcp::resolver(io).resolve(std::string(host), listen.substr(colon + 1),
                                               tcp::resolver::passive, error);
  if (error || found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("HTTP address is not known: ", listen, " (",
                                                   error.message(), "); give --http-listen"));
  }
  return found.begin()->endpoint();
}

class Server final : public HttpServer {
 public:
  Server(const HttpOptions& options, Backend backend)
      : options_(options),
        services_(std::move(backend.channel), std::move(backend.ready)),
        handler_(services_, std::move(backend.gate)),
        tls_files_(std::move(backend.tls)),
        bodies_(options.max_bodies_bytes),
        acceptor_(asio::make_strand(io_)),
        accept_pause_(acceptor_.get_executor()) {}
  ~Server() override { Stop(absl::InfinitePast()); }

  absl::Status Listen();
  const std::string& address() const override { return address_; }
  void Stop(absl::Time end) override;

 private:
  // On the acceptor's strand.
  void Accept();
  void OnAccepted(const error_code& error, tcp::socket socket);
  void ConnectionClosed(uint64_t id);

  const HttpOptions options_;
  LocalServices services_;
  OpenAiHandler handler_;
  const std::shared_ptr<ReloadedTls> tls_files_;
  std::unique_ptr<TlsContexts> tls_;  // null: plain text; used by the acceptor's strand
  BodyBudget bodies_;
  ConnectionSet connections_;
  std::string address_;

  asio::io_context io_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_pause_;
  bool accepting_ = false;  // an accept or a pause is under way
  std::vector<std::thread> threads_;
};

absl::Status Server::Listen() {
  if (tls_files_ != nullptr) {
    SF_ASSIGN_OR_RETURN(tls_, TlsContexts::Create(tls_files_));
  }
  SF_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, Resolve(io_, options_.listen));
  error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot listen for HTTP on ", options_.listen, ": ",
                                               error.message(), "; is the address in use?"));
  }
  address_ = absl::StrCat(options_.listen.substr(0, options_.listen.rfind(':')), ":",
                          acceptor_.local_endpoint().port());
  work_.emplace(io_.get_executor());
  asio::post(acceptor_.get_executor(), [this] { Accept(); });
  for (uint32_t i = 0; i < options_.num_threads; ++i) {
    threads_.emplace_back([this] { io_.run(); });
  }
  return absl::OkStatus();
}

void Server::Accept() {
  if (accepting_ || !acceptor_.is_open() || connections_.size() >= options_.max_connections) return;
  accepting_ = true;
  acceptor_.async_accept(asio::make_strand(io_),
                         [this](const error_code& error, tcp::socket socket) {
                           OnAccepted(error, std::move(socket));
                         });
}

void Server::OnAccepted(const error_code& error, tcp::socket socket) {
  accepting_ = false;
  if (!acceptor_.is_open()) return;
  if (error) {
    accepting_ = true;
    accept_pause_.expires_after(kAcceptPause);
    accept_pause_.async_wait([this](const error_code& /*cancelled*/) {
      accepting_ = false;
      Accept();
    });
    return;
  }
  error_code ignored;  // latency only
  socket.set_option(tcp::no_delay(true), ignored);
  const uint64_t id = connections_.NewId();
  auto stream = std::make_unique<ClientStream>(std::move(socket),
                                               tls_ == nullptr ? nullptr : &tls_->Current());
  auto connection = HttpConnection::Create(
      std::move(stream), {.handler = handler_, .options = options_, .bodies = bodies_},
      [this, id] { ConnectionClosed(id); });
  connections_.Add(id, connection);
  connection->Start();
  Accept();
}

void Server::ConnectionClosed(uint64_t id) {
  connections_.Remove(id);
  // There may be room for one that waits.
  asio::post(acceptor_.get_executor(), [this] { Accept(); });
}

void Server::Stop(absl::Time end) {
  if (threads_.empty()) return;
  std::promise<void> told;
  asio::post(acceptor_.get_executor(), [this, &told] {
    error_code ignored;  // closed is closed
    acceptor_.close(ignored);
    accept_pause_.cancel();
    // Here, because a connection is added on this strand: none is missed.
    for (const auto& connection : connections_.All()) connection->Drain();
    told.set_value();
  });
  told.get_future().wait();  // no connection is added from now on
  if (!connections_.AwaitEmpty(end)) {
    for (const auto& connection : connections_.All()) connection->Close();
    connections_.AwaitEmpty(absl::InfiniteFuture());
  }
  services_.AwaitNoCalls();
  work_.reset();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(const HttpOptions& options,
                                                               Backend backend) {
  SF_RETURN_IF_ERROR(options.Validate());
  auto server = std::make_unique<Server>(options, std::move(backend));
  SF_RETURN_IF_ERROR(server->Listen());
  return server;
}

}  // namespace spearfish::server
