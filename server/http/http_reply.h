// The seam between connections and what serves their requests.
#ifndef SERVER_HTTP_HTTP_REPLY_H_
#define SERVER_HTTP_HTTP_REPLY_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http/http_message.h"

namespace spearfish::server {

// Takes the answer to one request. Every connection has an executor, which runs its functions one
// after the other; all but Post are called there.
class HttpReply {
 public:
  virtual ~HttpReply() = default;

  // From any thread: runs `work` on the executor, later, after what was posted before.
  virtual void Post(std::function<void()> work) = 0;

  // The whole answer; instead of events.
  virtual void Respond(HttpResponse response) = 0;

  // Server-sent events. BeginEvents first; then writes, each after the one before was written, the
  // last with kEnd. `written` runs on the executor once the kernel has the bytes; never when the
  // client is gone.
  enum class Last { kNo, kEnd };
  virtual void BeginEvents(HttpHeaders headers) = 0;
  virtual void WriteEvents(std::string events, Last last, std::function<void()> written) = 0;
};

// The work on one request.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // On the executor: nobody waits for the answer any more, and the reply takes nothing.
  virtual void ClientGone() = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // What can be said before the body was read: an answer, or none to go on. May complete `head`.
  virtual std::optional<HttpResponse> Refuse(HttpRequest& head) = 0;
  // On the connection's executor; any number of them at once. A shared_ptr because calls under way
  // hold on to the exchange after its connection has let it go. Null when it answered at once.
  virtual std::shared_ptr<HttpExchange> Handle(HttpRequest request,
                                               std::shared_ptr<HttpReply> reply) = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_HTTP_REPLY_H_
