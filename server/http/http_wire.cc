#include "server/http/http_wire.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/write.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace spearfish::server {
namespace {

namespace http = boost::beast::http;

using Head = http::response<http::empty_body>;

void SetHeaders(Head& response, const std::string& content_type, const HttpHeaders& headers) {
  response.set(http::field::date,
               absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
  response.set(http::field::content_type, content_type);
  for (const auto& [name, value] : headers) response.set(name, value);
}

std::string TextOf(const Head& head) {
  std::ostringstream text;
  text << head.base();
  return text.str();
}

}  // namespace

std::string ResponseText(const HttpResponse& response, bool keep_alive) {
  Head head;
  head.result(static_cast<unsigned>(response.status));
  SetHeaders(head, response.content_type, response.headers);
  head.keep_alive(keep_alive);
  head.content_length(response.body.size());
  return absl::StrCat(TextOf(head), response.body);
}

std::string EventsHead(const HttpHeaders& headers, EventFraming framing, bool keep_alive) {
  const bool chunked = framing == EventFraming::kChunked;
  Head head;
  head.version(chunked ? 11 : 10);
  SetHeaders(head, "text/event-stream; charset=utf-8", headers);
  head.set(http::field::cache_control, "no-cache");
  head.set("X-Accel-Buffering", "no");  // nginx would hold events back
  head.keep_alive(keep_alive);
  if (chunked) head.chunked(true);
  return TextOf(head);
}

std::string FramedEvents(const std::string& events, EventFraming framing, bool last) {
  if (framing == EventFraming::kUntilClosed) return events;
  std::string out;
  if (!events.empty()) out = absl::StrCat(absl::Hex(events.size()), "\r\n", events, "\r\n");
  if (last) out += "0\r\n\r\n";
  return out;
}

}  // namespace spearfish::server
