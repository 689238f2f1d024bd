// Answers as text on the wire.
#ifndef SERVER_HTTP_HTTP_WIRE_H_
#define SERVER_HTTP_HTTP_WIRE_H_

#include <string>

#include "server/http/http_message.h"

namespace spearfish::server {

// A whole answer.
std::string ResponseText(const HttpResponse& response, bool keep_alive);

// Status line and headers of server-sent events: chunked, or up to the connection's end.
enum class EventFraming { kChunked, kUntilClosed };
std::string EventsHead(const HttpHeaders& headers, EventFraming framing, bool keep_alive);

// One write's worth of events: as a chunk, and the chunk that ends them.
std::string FramedEvents(const std::string& events, EventFraming framing, bool last);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_WIRE_H_
