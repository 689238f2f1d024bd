#include "server/http/http_wire.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/write.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace spearfish::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

std::string TextOf(beast::string_view text) { return {text.data(), text.size()}; }

template <typename Body>
void SetHeaders(http::response<Body>& response, const std::string& content_type,
                const HttpHeaders& headers) {
  response.set(http::field::date,
               absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
  response.set(http::field::content_type, content_type);
  for (const auto& [name, value] : headers) response.set(name, value);
}

}  // namespace

std::string PeerOf(const asio::ip::tcp::socket& socket) {
  boost::system::error_code error;
  const asio::ip::tcp::endpoint endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const asio::ip::address address = endpoint.address();
  if (address.is_v4()) return absl::StrCat("ipv4:", address.to_string());
  if (address.to_v6().is_v4_mapped()) {
    const auto inner = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return absl::StrCat("ipv4:", inner.to_string());
  }
  return absl::StrCat("ipv6:[", address.to_string(), "]");
}

HttpRequest HeadOf(const http::request<http::string_body>& request) {
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

http::response<http::string_body> ToWire(HttpResponse response) {
  http::response<http::string_body> out;
  out.result(static_cast<unsigned>(response.status));
  SetHeaders(out, response.content_type, response.headers);
  out.body() = std::move(response.body);
  return out;
}

std::string EventsHead(const HttpHeaders& headers, EventFraming framing, bool keep_alive) {
  const bool chunked = framing == EventFraming::kChunked;
  http::response<http::empty_body> head;
  head.version(chunked ? 11 : 10);
  SetHeaders(head, "text/event-stream; charset=utf-8", headers);
  head.set(http::field::cache_control, "no-cache");
  head.set("X-Accel-Buffering", "no");  // nginx would hold events back
  head.keep_alive(keep_alive);
  if (chunked) head.chunked(true);
  std::ostringstream text;
  text << head.base();
  return text.str();
}

std::string FramedEvents(const std::string& events, EventFraming framing, bool last) {
  if (framing == EventFraming::kUntilClosed) return events;
  std::string out;
  if (!events.empty()) out = absl::StrCat(absl::Hex(events.size()), "\r\n", events, "\r\n");
  if (last) out += "0\r\n\r\n";
  return out;
}

}  // namespace spearfish::server
