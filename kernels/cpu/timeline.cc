#include "kernels/cpu/timeline.h"

#include "kernels/cpu/spin_briefly.h"

namespace spearfish::kernels {

void Timeline::Advance(uint64_t sequence) {
  completed_.store(sequence, std::memory_order_seq_cst);
  if (num_waiting_.load(std::memory_order_seq_cst) == 0) return;
  MutexLock lock(mutex_);
  reached_.SignalAll();
}

void Timeline::WaitFor(uint64_t sequence) const {
  if (SpinBriefly([this, sequence] { return Reached(sequence); })) return;
  MutexLock lock(mutex_);
  num_waiting_.fetch_add(1, std::memory_order_seq_cst);
  while (completed_.load(std::memory_order_seq_cst) < sequence) reached_.Wait(mutex_);
  num_waiting_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace spearfish::kernels
