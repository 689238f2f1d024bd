#include "server/http/request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>

#include "absl/strings/str_cat.h"

namespace spearfish::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr uint32_t kMostHeaderBytes = 16 << 10;

std::string TextOf(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void RequestParser::Begin() {
  parser_.emplace();
  parser_->header_limit(kMostHeaderBytes);
  parser_->body_limit(max_body_bytes_);
}

void RequestParser::Add(absl::string_view bytes) {
  const boost::asio::const_buffer from(bytes.data(), bytes.size());
  buffer_.commit(boost::asio::buffer_copy(buffer_.prepare(bytes.size()), from));
}

RequestParser::Parsed RequestParser::ParseHead() {
  parser_->eager(false);  // it stops at the headers' end
  error_code error;
  while (!parser_->is_header_done()) {
    if (buffer_.size() == 0 || error == http::error::need_more) return Parsed::kMore;
    buffer_.consume(parser_->put(buffer_.data(), error));
    if (Fails(error)) return Parsed::kBad;
  }
  if (!IsAmbiguous()) return Parsed::kDone;
  error_ = ErrorOf(400,
                   "the body's length is ambiguous: Transfer-Encoding must be chunked, of "
                   "HTTP/1.1, and without Content-Length");
  return Parsed::kBad;
}

RequestParser::Parsed RequestParser::ParseBody() {
  parser_->eager(true);
  error_code error;
  while (!parser_->is_done()) {
    if (buffer_.size() == 0 || error == http::error::need_more) {
      if (buffer_.size() <= kMostHeaderBytes) return Parsed::kMore;
      // Beast bounds heads and bodies only.
      error_ = ErrorOf(431, absl::StrCat("a chunk's header or the trailer is larger than ",
                                         kMostHeaderBytes, " bytes"));
      return Parsed::kBad;
    }
    buffer_.consume(parser_->put(buffer_.data(), error));
    if (Fails(error)) return Parsed::kBad;
  }
  return Parsed::kDone;
}

bool RequestParser::IsAmbiguous() const {
  const http::request<http::string_body>& request = parser_->get();
  if (request.find(http::field::transfer_encoding) == request.end()) return false;
  return !parser_->chunked() || request.version() < 11 ||
         request.find(http::field::content_length) != request.end();
}

bool RequestParser::Fails(const error_code& error) {
  if (!error || error == http::error::need_more) return false;
  if (error == http::error::body_limit) {
    error_ = ErrorOf(413, absl::StrCat("the body is larger than ", max_body_bytes_, " bytes"));
  } else if (error == http::error::header_limit) {
    error_ = ErrorOf(431, absl::StrCat("the headers are larger than ", kMostHeaderBytes, " bytes"));
  } else {
    error_ = ErrorOf(400, absl::StrCat("malformed HTTP: ", error.message()));
  }
  return true;
}

HttpRequest RequestParser::Head() const {
  const http::request<http::string_body>& request = parser_->get();
  HttpRequest head;
  head.method = TextOf(request.method_string());
  head.target = TextOf(request.target());
  head.content_type = TextOf(request[http::field::content_type]);
  head.authorization = TextOf(request[http::field::authorization]);
  head.request_id = TextOf(request["X-Request-Id"]);
  head.traceparent = TextOf(request["traceparent"]);
  head.tracestate = TextOf(request["tracestate"]);
  return head;
}

uint64_t RequestParser::MaxBodyBytes() const {
  if (parser_->content_length()) return *parser_->content_length();
  return has_body() ? max_body_bytes_ : 0;
}

bool RequestParser::AwaitsContinue() const {
  return has_body() && beast::iequals(parser_->get()[http::field::expect], "100-continue");
}

}  // namespace spearfish::server
