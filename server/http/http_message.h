// A request and its answer, as handlers see them: no socket, no wire format.
#ifndef SERVER_HTTP_HTTP_MESSAGE_H_
#define SERVER_HTTP_HTTP_MESSAGE_H_

#include <string>
#include <utility>
#include <vector>

namespace spearfish::server {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A header that the request does not have is empty; of one that came twice this is the first.
struct HttpRequest {
  std::string method;
  std::string target;  // path and query, as sent
  std::string body;
  std::string content_type;
  std::string authorization;
  std::string request_id;  // X-Request-Id
  std::string traceparent;
  std::string tracestate;
  std::string peer;  // the host it comes from, as gRPC writes it: "ipv4:127.0.0.1"
  // Of the client's verified certificate, the identity first; none without TLS that asks for it.
  std::vector<std::string> certificate_names;
  std::string caller;  // whom the calls are counted for; set by HttpHandler::Refuse
};

struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  HttpHeaders headers = {};
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_MESSAGE_H_
