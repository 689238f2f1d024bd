#include "worker/rpc/serving_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace spearfish::worker {

ServingState::ServingState(std::string device)
    : device_(std::move(device)), started_(absl::Now()) {}

void ServingState::SetListening(std::string address, HealthListener listener) {
  const MutexLock lock(mutex_);
  address_ = std::move(address);
  health_ = std::move(listener);
  TellHealth();
}

void ServingState::StopListening() {
  const MutexLock lock(mutex_);
  health_ = nullptr;
}

void ServingState::SetLoaded(const LoadedModel& model) {
  const MutexLock lock(mutex_);
  if (draining()) model.engine.Drain();
  loaded_.store(&model, std::memory_order_release);
  TellHealth();
}

void ServingState::Drain() {
  const MutexLock lock(mutex_);
  draining_.store(true, std::memory_order_release);
  if (const LoadedModel* model = loaded()) model->engine.Drain();
  TellHealth();
}

bool ServingState::SetMemory(const MemoryStatus& memory) {
  const MutexLock lock(mutex_);
  const bool changed = memory.low != memory_.low;
  memory_ = memory;
  if (changed) UpdateFitness();
  return changed;
}

void ServingState::SetDamaged(absl::Status why) {
  const MutexLock lock(mutex_);
  if (!damage_.ok()) return;
  damage_ = std::move(why);
  UpdateFitness();
}

absl::StatusOr<const LoadedModel*> ServingState::Loaded() const {
  const LoadedModel* model = loaded();
  if (model == nullptr) {
    return absl::UnavailableError("model is loading; retry when the health service says SERVING");
  }
  return model;
}

absl::StatusOr<const LoadedModel*> ServingState::Admitting() const {
  if (draining()) {
    return absl::UnavailableError("worker is draining and admits nothing; use another worker");
  }
  if (!fit()) {
    const MutexLock lock(mutex_);
    if (!damage_.ok()) return damage_;
    if (memory_.low) {
      return absl::ResourceExhaustedError(absl::StrCat("host memory is low: ", Describe(memory_),
                                                       "; retry later or use another worker"));
    }
  }
  return Loaded();
}

MemoryStatus ServingState::memory() const {
  const MutexLock lock(mutex_);
  return memory_;
}

absl::Status ServingState::damage() const {
  const MutexLock lock(mutex_);
  return damage_;
}

std::string ServingState::address() const {
  const MutexLock lock(mutex_);
  return address_;
}

void ServingState::UpdateFitness() {
  fit_.store(damage_.ok() && !memory_.low, std::memory_order_release);
  TellHealth();
}

void ServingState::TellHealth() {
  if (health_) health_(serving());
}

}  // namespace spearfish::worker
