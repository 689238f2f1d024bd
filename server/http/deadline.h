// The one time limit that is in force on a connection.
#ifndef SERVER_HTTP_DEADLINE_H_
#define SERVER_HTTP_DEADLINE_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <utility>

#include "absl/time/time.h"

namespace spearfish::server {

// Used on its executor alone. `expired` must keep it alive; Clear lets `expired` go.
class Deadline {
 public:
  explicit Deadline(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  // Instead of the limit before: runs `expired` when it is over.
  void Set(absl::Duration limit, std::function<void()> expired) {
    timer_.expires_after(absl::ToChronoMilliseconds(limit));
    timer_.async_wait(
        [this, expired = std::move(expired)](const boost::system::error_code& /*cancelled*/) {
          // An expiry that was on its way here when another limit was set does not count.
          if (timer_.expiry() <= std::chrono::steady_clock::now()) expired();
        });
  }
  void Clear() { timer_.expires_at(std::chrono::steady_clock::time_point::max()); }

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_DEADLINE_H_
