#include "kernels/cpu/thread_pool.h"

#include <algorithm>

#include "hwy/cache_control.h"

namespace spearfish::kernels {
namespace {

constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kInsideMask = kOpen - 1;
constexpr uint64_t kEpochOne = uint64_t{1} << 32;

// One pause is 40 to 140 cycles: some tens of microseconds, the gap between two operations of a
// forward pass.
constexpr int kSpins = 800;

constexpr uint64_t Epoch(uint64_t state) { return state / kEpochOne; }

// Which loop the current thread is in: a nested ParallelFor runs inline under the same number.
struct CurrentLoop {
  const ThreadPool* pool = nullptr;
  uint32_t thread = 0;
};
thread_local CurrentLoop current_loop;

}  // namespace

ThreadPool::ThreadPool(uint32_t num_threads) : num_threads_(std::max<uint32_t>(num_threads, 1)) {
  threads_.reserve(num_threads_ - 1);
  for (uint32_t thread = 1; thread < num_threads_; ++thread) {
    threads_.emplace_back([this, thread] { WorkerLoop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(park_mutex_);
    stopping_ = true;
    wake_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::ParallelFor(uint32_t num_items, Body body) {
  const bool nested = current_loop.pool == this;
  if (num_items <= 1 || num_threads_ == 1 || nested) {
    const uint32_t thread = nested ? current_loop.thread : 0;
    for (uint32_t item = 0; item < num_items; ++item) body(item, thread);
    return;
  }
  MutexLock lock(run_mutex_);
  Open(num_items, body);
  RunItems(0);
  CloseAndDrain();
}

void ThreadPool::Open(uint32_t num_items, const Body& body) {
  body_ = &body;
  num_items_ = num_items;
  next_item_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = Epoch(state_.load(std::memory_order_relaxed)) + 1;
  MutexLock lock(park_mutex_);
  state_.store(epoch * kEpochOne | kOpen, std::memory_order_release);
  if (num_parked_ > 0) wake_.SignalAll();
}

void ThreadPool::CloseAndDrain() {
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  const auto drained = [this] {
    return (state_.load(std::memory_order_acquire) & kInsideMask) == 0;
  };
  for (int spin = 0; spin < kSpins; ++spin) {
    if (drained()) return;
    hwy::Pause();
  }
  MutexLock lock(park_mutex_);
  while (!drained()) drained_.Wait(park_mutex_);
}

void ThreadPool::RunItems(uint32_t thread) {
  const CurrentLoop outer = current_loop;
  current_loop = {this, thread};
  for (;;) {
    const uint32_t item = next_item_.fetch_add(1, std::memory_order_relaxed);
    if (item >= num_items_) break;
    (*body_)(item, thread);
  }
  current_loop = outer;
}

void ThreadPool::WorkerLoop(uint32_t thread) {
  uint64_t last_epoch = 0;
  for (;;) {
    const std::optional<uint64_t> state = AwaitLoop(last_epoch);
    if (!state) return;
    last_epoch = Epoch(*state);
    if (!TryEnter(*state)) continue;
    RunItems(thread);
    Leave();
  }
}

std::optional<uint64_t> ThreadPool::AwaitLoop(uint64_t last_epoch) {
  const auto newer = [&](uint64_t state) { return Epoch(state) != last_epoch; };
  for (int spin = 0; spin < kSpins; ++spin) {
    const uint64_t state = state_.load(std::memory_order_relaxed);
    if (newer(state)) return state;
    hwy::Pause();
  }
  MutexLock lock(park_mutex_);
  ++num_parked_;
  uint64_t state = state_.load(std::memory_order_relaxed);
  while (!stopping_ && !newer(state)) {
    wake_.Wait(park_mutex_);
    state = state_.load(std::memory_order_relaxed);
  }
  --num_parked_;
  if (stopping_) return std::nullopt;
  return state;
}

bool ThreadPool::TryEnter(uint64_t state) {
  while ((state & kOpen) != 0) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void ThreadPool::Leave() {
  const uint64_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
  const bool last = (before & kInsideMask) == 1;
  if (last && (before & kOpen) == 0) {
    MutexLock lock(park_mutex_);
    drained_.Signal();
  }
}

}  // namespace spearfish::kernels
