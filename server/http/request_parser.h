// HTTP requests out of a connection's bytes, one after the other. Pure: no socket.
#ifndef SERVER_HTTP_REQUEST_PARSER_H_
#define SERVER_HTTP_REQUEST_PARSER_H_

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/http/error_response.h"
#include "server/http/http_message.h"

namespace spearfish::server {

// Used by one thread at a time. Bytes may come in pieces of any size, also those of later requests
// while an earlier one is served: they are kept.
class RequestParser {
 public:
  explicit RequestParser(uint64_t max_body_bytes) : max_body_bytes_(max_body_bytes) { Begin(); }

  // The bytes that come next, or were kept, are a new request's.
  void Begin();
  void Add(absl::string_view bytes);
  size_t num_bytes_kept() const { return buffer_.size(); }

  // kMore: not without more bytes. kBad: never; error() says why: 400, 413 or 431. No more than a
  // part of a head, of a chunk's header or of a trailer is kept meanwhile.
  enum class Parsed { kDone, kMore, kBad };
  Parsed ParseHead();
  Parsed ParseBody();
  // Whether something of the request has come.
  bool begun() const { return parser_->got_some(); }
  const HttpError& error() const { return error_; }

  // Once the head is done. Head() has all but the body and who sent it.
  HttpRequest Head() const;
  bool has_body() const { return !parser_->is_done(); }
  // How long the body may become: its own word, or what is allowed.
  uint64_t MaxBodyBytes() const;
  bool AwaitsContinue() const;
  bool keep_alive() const { return parser_->keep_alive(); }
  bool is_http_1_1() const { return parser_->get().version() >= 11; }

  // Once the body is done.
  std::string TakeBody() { return std::move(parser_->get().body()); }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  bool Fails(const boost::system::error_code& error);
  // What the head says of the body's length is what others on its way may read otherwise.
  bool IsAmbiguous() const;

  const uint64_t max_body_bytes_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;  // of the present request
  HttpError error_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_REQUEST_PARSER_H_
