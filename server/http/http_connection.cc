#include "server/http/http_connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/error_response.h"
#include "server/http/http_wire.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr uint32_t kMostHeaderBytes = 16 << 10;
constexpr size_t kReadBytes = 4096;
// What a client may send ahead while its request is served; after that it is not watched.
constexpr size_t kMostBytesAhead = 64 << 10;
// Closing at once while the client still sends would reset the connection, and the client might
// never see the answer.
constexpr absl::Duration kLinger = absl::Seconds(2);
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

bool IsOfHttp(const error_code& error) {
  static const error_code any = http::error::bad_method;
  return error.category() == any.category();
}

// All functions but those of HttpConnection and Post run on the stream's strand.
class Connection final : public HttpConnection,
                         public HttpReply,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::ip::tcp::socket socket, HttpContext context, std::function<void()> closed)
      : peer_(PeerOf(socket)),
        stream_(std::move(socket)),
        context_(context),
        on_closed_(std::move(closed)) {}

  void Start() override {
    Post([self = shared_from_this()] { self->ReadHead(self->context_.options.header_timeout); });
  }
  void Drain() override {
    Post([self = shared_from_this()] {
      self->draining_ = true;
      if (self->state_ == State::kHead && !self->parser_->got_some()) self->CloseSocket();
    });
  }
  void Close() override {
    Post([self = shared_from_this()] { self->Gone(); });
  }

  void Post(std::function<void()> work) override {
    asio::post(stream_.get_executor(), std::move(work));
  }
  void Respond(HttpResponse response) override;
  void BeginEvents(HttpHeaders headers) override;
  void WriteEvents(std::string events, Last last, std::function<void()> written) override;

 private:
  enum class State {
    kBetween,  // answers; the next request is not being read yet
    kHead,
    kBody,
    kServing,
    kLingering,
    kClosed
  };
  using Parser = http::request_parser<http::string_body>;

  // Reading. What has error and size is called when an operation is done.
  void ReadHead(absl::Duration timeout);
  void OnHead(const error_code& error, size_t bytes);
  bool TakeBodyBytes();
  void ReadBody();
  void OnContinued(const error_code& error, size_t bytes);
  void OnBody(const error_code& error, size_t bytes);
  void OnBadRequest(const error_code& error);

  // While a request is served.
  void Watch();
  void OnWatched(const error_code& error, size_t bytes);
  void OnResponded(const error_code& error, size_t bytes);
  void OnEventsWritten(const error_code& error, size_t bytes);
  void Answered();

  // The end.
  void Gone();
  void Linger();
  void Discard();
  void OnDiscarded(const error_code& error, size_t bytes);
  void CloseSocket();

  // `method`, unless the socket was closed in between.
  auto Then(void (Connection::*method)(const error_code&, size_t)) {
    return [self = shared_from_this(), method](const error_code& error, size_t bytes) {
      if (self->state_ != State::kClosed) ((*self).*method)(error, bytes);
    };
  }
  // For the reads and writes that start from now on.
  void Expire(absl::Duration timeout) {
    stream_.expires_after(absl::ToChronoMilliseconds(timeout));
  }

  const std::string peer_;
  beast::tcp_stream stream_;
  const HttpContext context_;
  const std::function<void()> on_closed_;
  State state_ = State::kBetween;
  bool draining_ = false;

  // The request.
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  HttpRequest request_;
  uint64_t body_bytes_ = 0;  // taken from the budget

  // The answer.
  std::shared_ptr<HttpExchange> exchange_;
  bool keep_alive_ = false;
  bool watching_ = false;  // a read is under way
  std::optional<http::response<http::string_body>> whole_;
  EventFraming framing_ = EventFraming::kUntilClosed;
  std::string out_;  // events with their framing; the headers before the first
  Last last_ = Last::kNo;
  std::function<void()> written_;
};

// Reading

void Connection::ReadHead(absl::Duration timeout) {
  if (draining_) {
    CloseSocket();
    return;
  }
  state_ = State::kHead;
  parser_.emplace();
  parser_->header_limit(kMostHeaderBytes);
  parser_->body_limit(context_.options.max_body_bytes);
  Expire(timeout);
  http::async_read_header(stream_, buffer_, *parser_, Then(&Connection::OnHead));
}

void Connection::OnHead(const error_code& error, size_t /*bytes*/) {
  if (error) {
    OnBadRequest(error);
    return;
  }
  state_ = State::kBody;
  request_ = HeadOf(parser_->get());
  request_.peer = peer_;
  // A body that is not read is in the way of a next request; so is one in an answer to HEAD.
  keep_alive_ = parser_->is_done() && parser_->keep_alive() && request_.method != "HEAD";
  if (std::optional<HttpResponse> refusal = context_.handler.Refuse(request_)) {
    Respond(*std::move(refusal));
    return;
  }
  if (!TakeBodyBytes()) {
    HttpError busy = ErrorOf(503, "the requests that are being served hold too much memory");
    busy.retry_after = absl::Seconds(1);
    Respond(ErrorResponse(busy));
    return;
  }
  if (!parser_->is_done() && beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
    Expire(context_.options.write_timeout);
    asio::async_write(stream_, asio::buffer(kContinue, sizeof(kContinue) - 1),
                      Then(&Connection::OnContinued));
    return;
  }
  ReadBody();
}

bool Connection::TakeBodyBytes() {
  uint64_t bytes = parser_->is_done() ? 0 : context_.options.max_body_bytes;
  if (parser_->content_length()) bytes = *parser_->content_length();
  if (!context_.bodies.Take(bytes)) return false;
  body_bytes_ = bytes;
  return true;
}

void Connection::OnContinued(const error_code& error, size_t /*bytes*/) {
  error ? CloseSocket() : ReadBody();
}

void Connection::ReadBody() {
  Expire(context_.options.body_timeout);
  http::async_read(stream_, buffer_, *parser_, Then(&Connection::OnBody));
}

void Connection::OnBody(const error_code& error, size_t /*bytes*/) {
  if (error) {
    OnBadRequest(error);
    return;
  }
  state_ = State::kServing;
  keep_alive_ = parser_->keep_alive();
  framing_ = parser_->get().version() >= 11 ? EventFraming::kChunked : EventFraming::kUntilClosed;
  request_.body = std::move(parser_->get().body());
  Watch();
  // It may have answered before it returns, but nothing of that is done before this is.
  exchange_ = context_.handler.Handle(std::move(request_), shared_from_this());
}

void Connection::OnBadRequest(const error_code& error) {
  keep_alive_ = false;
  if (error == http::error::body_limit) {
    Respond(ErrorResponse(ErrorOf(
        413, absl::StrCat("the body is larger than ", context_.options.max_body_bytes, " bytes"))));
  } else if (error == http::error::header_limit) {
    Respond(ErrorResponse(
        ErrorOf(431, absl::StrCat("the headers are larger than ", kMostHeaderBytes, " bytes"))));
  } else if (IsOfHttp(error) && error != http::error::end_of_stream &&
             error != http::error::partial_message) {
    Respond(ErrorResponse(ErrorOf(400, absl::StrCat("malformed HTTP: ", error.message()))));
  } else {
    CloseSocket();  // the client has gone, or was too slow
  }
}

// Serving

void Connection::Watch() {
  if (buffer_.size() >= kMostBytesAhead) return;
  watching_ = true;
  stream_.expires_never();  // a write under way keeps its own limit
  stream_.async_read_some(buffer_.prepare(kReadBytes), Then(&Connection::OnWatched));
}

void Connection::OnWatched(const error_code& error, size_t bytes) {
  watching_ = false;
  buffer_.commit(bytes);
  if (state_ == State::kLingering) {
    Expire(kLinger);
    Discard();
  } else if (state_ == State::kBetween) {  // answered: the watch was called off
    const bool gone = error && error != asio::error::operation_aborted;
    gone ? CloseSocket() : ReadHead(context_.options.idle_timeout);
  } else {
    error ? Gone() : Watch();
  }
}

void Connection::Respond(HttpResponse response) {
  if (state_ == State::kClosed) return;
  whole_ = ToWire(std::move(response));
  keep_alive_ = keep_alive_ && !draining_;
  whole_->keep_alive(keep_alive_);
  whole_->prepare_payload();
  Expire(context_.options.write_timeout);
  http::async_write(stream_, *whole_, Then(&Connection::OnResponded));
}

void Connection::OnResponded(const error_code& error, size_t /*bytes*/) {
  error ? Gone() : Answered();
}

void Connection::BeginEvents(HttpHeaders headers) {
  keep_alive_ = keep_alive_ && framing_ == EventFraming::kChunked && !draining_;
  out_ = EventsHead(headers, framing_, keep_alive_);
}

void Connection::WriteEvents(std::string events, Last last, std::function<void()> written) {
  if (state_ == State::kClosed) return;
  out_ += FramedEvents(events, framing_, last == Last::kEnd);
  last_ = last;
  written_ = std::move(written);
  Expire(context_.options.write_timeout);
  asio::async_write(stream_, asio::buffer(out_), Then(&Connection::OnEventsWritten));
}

void Connection::OnEventsWritten(const error_code& error, size_t /*bytes*/) {
  if (error) {
    Gone();
    return;
  }
  out_.clear();
  const bool last = last_ == Last::kEnd;
  const std::function<void()> written = std::exchange(written_, nullptr);
  written();
  if (last) Answered();
}

void Connection::Answered() {
  exchange_.reset();
  whole_.reset();
  parser_.reset();
  context_.bodies.Give(std::exchange(body_bytes_, 0));
  if (!keep_alive_ || draining_) {
    Linger();
    return;
  }
  state_ = State::kBetween;
  if (watching_) {
    stream_.cancel();  // OnWatched reads on
  } else {
    ReadHead(context_.options.idle_timeout);
  }
}

// The end

void Connection::Gone() {
  const std::shared_ptr<HttpExchange> exchange = std::move(exchange_);
  CloseSocket();
  if (exchange != nullptr) exchange->ClientGone();
}

void Connection::Linger() {
  state_ = State::kLingering;
  error_code ignored;  // the client may have gone
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  if (watching_) {
    stream_.cancel();  // OnWatched goes on
  } else {
    Expire(kLinger);
    Discard();
  }
}

void Connection::Discard() {
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(kReadBytes), Then(&Connection::OnDiscarded));
}

void Connection::OnDiscarded(const error_code& error, size_t /*bytes*/) {
  error ? CloseSocket() : Discard();
}

void Connection::CloseSocket() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  stream_.close();
  written_ = nullptr;
  context_.bodies.Give(std::exchange(body_bytes_, 0));
  on_closed_();
}

}  // namespace

std::shared_ptr<HttpConnection> HttpConnection::Create(asio::ip::tcp::socket socket,
                                                       HttpContext context,
                                                       std::function<void()> closed) {
  return std::make_shared<Connection>(std::move(socket), context, std::move(closed));
}

}  // namespace spearfish::server
