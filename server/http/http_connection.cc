#include "server/http/http_connection.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/http/deadline.h"
#include "server/http/error_response.h"
#include "server/http/http_wire.h"
#include "server/http/request_parser.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kReadBytes = 8 << 10;
// What a client may send ahead while its request is served; after that it is not watched.
constexpr size_t kMostBytesAhead = 64 << 10;
// Closing at once while the client still sends would reset the connection, and the client might
// never see the answer.
constexpr absl::Duration kLinger = absl::Seconds(2);
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

// All functions but those of HttpConnection and Post run on the stream's strand. One read at most
// is under way; it is never called off, so a state may find the one that another state began.
class Connection final : public HttpConnection,
                         public HttpReply,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::unique_ptr<ClientStream> stream, HttpContext context,
             std::function<void()> closed)
      : stream_(std::move(stream)),
        context_(context),
        on_closed_(std::move(closed)),
        deadline_(stream_->get_executor()),
        parser_(context.options.max_body_bytes) {}

  void Start() override {
    Post([self = shared_from_this()] { self->ShakeHands(); });
  }
  void Drain() override {
    Post([self = shared_from_this()] {
      self->draining_ = true;
      const bool asks = self->state_ != State::kHandshake &&
                        (self->state_ != State::kHead || self->parser_.begun());
      if (!asks) self->CloseStream();
    });
  }
  void Close() override {
    Post([self = shared_from_this()] { self->Gone(); });
  }

  void Post(std::function<void()> work) override {
    asio::post(stream_->get_executor(), std::move(work));
  }
  void Respond(HttpResponse response) override;
  void BeginEvents(HttpHeaders headers) override;
  void WriteEvents(std::string events, Last last, std::function<void()> written) override;

 private:
  enum class State {
    kHandshake,
    kHead,  // waits for a request, or its headers
    kBody,
    kServing,   // watches for the client to go away
    kRefusing,  // reads no more of the request, and answers
    kLingering,
    kClosed
  };

  // Reading. What has error and size is called when an operation is done.
  void ShakeHands();
  void OnHandshake(const error_code& error);
  void Read();
  void OnRead(const error_code& error, size_t bytes);
  void ReadHead();
  void Parse();
  void OnHead();
  void OnContinued(const error_code& error, size_t bytes);
  void ReadBody();
  void OnBody();

  // Answering.
  void Watch();
  void Refuse(const HttpError& error);
  void Write(Last last, std::function<void()> written);
  void OnWritten(const error_code& error, size_t bytes);
  void Answered();

  // The end.
  void Gone();
  void Linger();
  void CloseStream();

  // `method`, unless the stream was closed in between.
  auto Then(void (Connection::*method)(const error_code&, size_t)) {
    return [self = shared_from_this(), method](const error_code& error, size_t bytes) {
      if (self->state_ != State::kClosed) ((*self).*method)(error, bytes);
    };
  }
  // What is under way when the time is over ends with the connection.
  void Expire(absl::Duration timeout) {
    deadline_.Set(timeout, [self = shared_from_this()] { self->Gone(); });
  }

  const std::unique_ptr<ClientStream> stream_;
  const HttpContext context_;
  const std::function<void()> on_closed_;
  Deadline deadline_;
  State state_ = State::kHandshake;
  bool draining_ = false;
  std::vector<std::string> certificate_names_;

  // The request.
  std::array<char, kReadBytes> incoming_;
  bool reading_ = false;  // into incoming_
  RequestParser parser_;
  HttpRequest request_;
  uint64_t body_bytes_ = 0;  // taken from the budget

  // The answer.
  std::shared_ptr<HttpExchange> exchange_;
  bool keep_alive_ = false;
  EventFraming framing_ = EventFraming::kUntilClosed;
  std::string out_;  // an answer, or events with their framing; the headers before the first
  Last last_ = Last::kNo;
  std::function<void()> written_;
};

// Reading

void Connection::ShakeHands() {
  Expire(context_.options.header_timeout);  // of the first headers, too
  stream_->Handshake([self = shared_from_this()](const error_code& error) {
    if (self->state_ != State::kClosed) self->OnHandshake(error);
  });
}

void Connection::OnHandshake(const error_code& error) {
  if (!error) {
    certificate_names_ = stream_->CertificateNames();
    ReadHead();
  } else if (ClientStream::IsPlainHttp(error)) {
    Refuse(ErrorOf(400, "this port speaks HTTPS; ask it with https://"));
  } else if (ClientStream::IsOfTls(error)) {
    Linger();  // the client is to see the alert that says why
  } else {
    CloseStream();
  }
}

void Connection::Read() {
  if (reading_) return;
  reading_ = true;
  stream_->Read(asio::buffer(incoming_), Then(&Connection::OnRead));
}

void Connection::OnRead(const error_code& error, size_t bytes) {
  reading_ = false;
  if (state_ == State::kLingering) {
    error ? CloseStream() : Read();
    return;
  }
  if (error) {
    // An answer that is no more than a refusal gets through to those who said all they have to.
    if (state_ != State::kRefusing) Gone();
    return;
  }
  parser_.Add({incoming_.data(), bytes});
  if (state_ == State::kServing) {
    Watch();
  } else if (state_ != State::kRefusing) {
    Parse();
  }
}

void Connection::ReadHead() {
  if (draining_) {
    CloseStream();
    return;
  }
  state_ = State::kHead;
  Parse();
}

void Connection::Parse() {
  const bool is_head = state_ == State::kHead;
  switch (is_head ? parser_.ParseHead() : parser_.ParseBody()) {
    case RequestParser::Parsed::kMore:
      Read();
      return;
    case RequestParser::Parsed::kBad:
      Refuse(parser_.error());
      return;
    case RequestParser::Parsed::kDone:
      is_head ? OnHead() : OnBody();
  }
}

void Connection::OnHead() {
  state_ = State::kRefusing;
  request_ = parser_.Head();
  request_.peer = stream_->peer();
  request_.certificate_names = certificate_names_;
  // A body that is not read is in the way of a next request; so is one in an answer to HEAD.
  keep_alive_ = !parser_.has_body() && parser_.keep_alive() && request_.method != "HEAD";
  if (std::optional<HttpResponse> refusal = context_.handler.Refuse(request_)) {
    Respond(*std::move(refusal));
    return;
  }
  if (parser_.has_body() && request_.method != "POST") {
    Refuse(ErrorOf(400, "a body is read of POST only"));
    return;
  }
  const uint64_t bytes = parser_.MaxBodyBytes();
  if (!context_.bodies.Take(bytes)) {
    HttpError busy = ErrorOf(503, "the requests that are being served hold too much memory");
    busy.retry_after = absl::Seconds(1);
    Refuse(busy);
    return;
  }
  body_bytes_ = bytes;
  if (parser_.AwaitsContinue()) {
    Expire(context_.options.write_timeout);
    stream_->Write(asio::buffer(kContinue, sizeof(kContinue) - 1), Then(&Connection::OnContinued));
    return;
  }
  ReadBody();
}

void Connection::OnContinued(const error_code& error, size_t /*bytes*/) {
  error ? CloseStream() : ReadBody();
}

void Connection::ReadBody() {
  state_ = State::kBody;
  Expire(context_.options.body_timeout);
  Parse();
}

void Connection::OnBody() {
  state_ = State::kServing;
  keep_alive_ = parser_.keep_alive();
  framing_ = parser_.is_http_1_1() ? EventFraming::kChunked : EventFraming::kUntilClosed;
  request_.body = parser_.TakeBody();
  deadline_.Clear();
  Watch();
  // It may have answered before it returns, but nothing of that is done before this is.
  exchange_ = context_.handler.Handle(std::move(request_), shared_from_this());
}

// Answering

void Connection::Watch() {
  if (parser_.num_bytes_kept() < kMostBytesAhead) Read();
}

void Connection::Refuse(const HttpError& error) {
  state_ = State::kRefusing;
  keep_alive_ = false;
  Respond(ErrorResponse(error));
}

void Connection::Respond(HttpResponse response) {
  if (state_ == State::kClosed) return;
  keep_alive_ = keep_alive_ && !draining_;
  out_ = ResponseText(response, keep_alive_);
  Write(Last::kEnd, nullptr);
}

void Connection::BeginEvents(HttpHeaders headers) {
  keep_alive_ = keep_alive_ && framing_ == EventFraming::kChunked && !draining_;
  out_ = EventsHead(headers, framing_, keep_alive_);
}

void Connection::WriteEvents(std::string events, Last last, std::function<void()> written) {
  if (state_ == State::kClosed) return;
  out_ += FramedEvents(events, framing_, last == Last::kEnd);
  Write(last, std::move(written));
}

void Connection::Write(Last last, std::function<void()> written) {
  last_ = last;
  written_ = std::move(written);
  Expire(context_.options.write_timeout);
  stream_->Write(asio::buffer(out_), Then(&Connection::OnWritten));
}

void Connection::OnWritten(const error_code& error, size_t /*bytes*/) {
  if (error) {
    Gone();
    return;
  }
  out_.clear();
  deadline_.Clear();
  const bool last = last_ == Last::kEnd;
  const std::function<void()> written = std::exchange(written_, nullptr);
  if (written != nullptr) written();
  if (last) Answered();
}

void Connection::Answered() {
  exchange_.reset();
  context_.bodies.Give(std::exchange(body_bytes_, 0));
  if (!keep_alive_ || draining_) {
    Linger();
    return;
  }
  parser_.Begin();
  Expire(context_.options.idle_timeout);
  ReadHead();
}

// The end

void Connection::Gone() {
  const std::shared_ptr<HttpExchange> exchange = std::move(exchange_);
  CloseStream();
  if (exchange != nullptr) exchange->ClientGone();
}

void Connection::Linger() {
  state_ = State::kLingering;
  Expire(kLinger);
  stream_->Finish([self = shared_from_this()] {});
  Read();
}

void Connection::CloseStream() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  deadline_.Clear();
  stream_->Close();
  written_ = nullptr;
  context_.bodies.Give(std::exchange(body_bytes_, 0));
  on_closed_();
}

}  // namespace

std::shared_ptr<HttpConnection> HttpConnection::Create(std::unique_ptr<ClientStream> stream,
                                                       HttpContext context,
                                                       std::function<void()> closed) {
  return std::make_shared<Connection>(std::move(stream), context, std::move(closed));
}

}  // namespace spearfish::server
