// A count for monitoring that request paths add to.
#ifndef COMMON_METRICS_COUNTER_H_
#define COMMON_METRICS_COUNTER_H_

#include <atomic>
#include <cstdint>

namespace spearfish {

// Any thread, without locks. It orders nothing else.
class Counter {
 public:
  void Add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

}  // namespace spearfish

#endif  // COMMON_METRICS_COUNTER_H_
