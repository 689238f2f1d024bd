// Between Beast's messages and what handlers see.
#ifndef SERVER_HTTP_HTTP_WIRE_H_
#define SERVER_HTTP_HTTP_WIRE_H_

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>

#include "server/http/http_message.h"

namespace spearfish::server {

// "ipv4:127.0.0.1", "ipv6:[::1]": the host at the other end, as gRPC writes peers.
std::string PeerOf(const boost::asio::ip::tcp::socket& socket);

// All but body and peer.
HttpRequest HeadOf(const boost::beast::http::request<boost::beast::http::string_body>& request);

boost::beast::http::response<boost::beast::http::string_body> ToWire(HttpResponse response);

// Status line and headers of server-sent events, as text: chunked, or up to the connection's end.
enum class EventFraming { kChunked, kUntilClosed };
std::string EventsHead(const HttpHeaders& headers, EventFraming framing, bool keep_alive);

// One write's worth of events: as a chunk, and the chunk that ends them.
std::string FramedEvents(const std::string& events, EventFraming framing, bool last);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_WIRE_H_
