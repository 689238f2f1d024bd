// How much memory the bodies of all requests may take.
#ifndef SERVER_HTTP_BODY_BUDGET_H_
#define SERVER_HTTP_BODY_BUDGET_H_

#include <atomic>
#include <cstdint>

namespace spearfish::server {

// Thread-safe.
class BodyBudget {
 public:
  explicit BodyBudget(uint64_t bytes) : left_(static_cast<int64_t>(bytes)) {}

  // False: there is not so much left, and nothing was taken.
  bool Take(uint64_t bytes) {
    const auto wanted = static_cast<int64_t>(bytes);
    if (left_.fetch_sub(wanted) >= wanted) return true;
    left_.fetch_add(wanted);
    return false;
  }
  void Give(uint64_t bytes) { left_.fetch_add(static_cast<int64_t>(bytes)); }

 private:
  std::atomic<int64_t> left_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_BODY_BUDGET_H_
