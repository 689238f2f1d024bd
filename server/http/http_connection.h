// One client's connection: requests one after the other, over HTTP/1.1 or 1.0.
#ifndef SERVER_HTTP_HTTP_CONNECTION_H_
#define SERVER_HTTP_HTTP_CONNECTION_H_

#include <functional>
#include <memory>

#include "server/http/body_budget.h"
#include "server/http/client_stream.h"
#include "server/http/http_options.h"
#include "server/http/http_reply.h"

namespace spearfish::server {

// What all connections of a server share; outlives them.
struct HttpContext {
  HttpHandler& handler;
  const HttpOptions& options;
  BodyBudget& bodies;
};

// Methods may be called from any thread. Shakes hands where there is TLS, reads one request, has it
// served, writes the answer, reads the next. While a request is served it watches for the client to
// go away. Everything has a time limit but the serving itself.
//
// Lifetime: shared between the server, the operations on the stream, and the exchange that answers.
class HttpConnection {
 public:
  // `stream` runs its handlers on a strand. `closed` is called once, on it.
  static std::shared_ptr<HttpConnection> Create(std::unique_ptr<ClientStream> stream,
                                                HttpContext context, std::function<void()> closed);
  virtual ~HttpConnection() = default;

  virtual void Start() = 0;
  // Takes no more requests: closes now, or after the answer that is under way.
  virtual void Drain() = 0;
  // Closes now; what is served is cancelled.
  virtual void Close() = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_CONNECTION_H_
