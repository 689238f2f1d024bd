// A pool over records that can be told apart, on the CPU device.
#ifndef TESTS_UNIT_WORKER_EXPERTS_POOL_ON_CPU_H_
#define TESTS_UNIT_WORKER_EXPERTS_POOL_ON_CPU_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "tests/unit/worker/experts/watched_device.h"
#include "worker/experts/expert_pool.h"

namespace spearfish::tests {

// Records whose every word names the record and the word's place.
class MarkedRecords {
 public:
  MarkedRecords(uint32_t num_records, uint32_t record_bytes)
      : words_per_record_(record_bytes / sizeof(uint32_t)),
        words_(size_t{num_records} * words_per_record_) {
    for (uint32_t record = 0; record < num_records; ++record) {
      for (uint32_t i = 0; i < words_per_record_; ++i) {
        words_[size_t{record} * words_per_record_ + i] = Word(record, i);
      }
      addresses_.push_back(
          reinterpret_cast<uint64_t>(words_.data() + size_t{record} * words_per_record_));
    }
  }

  std::span<const uint64_t> addresses() const { return addresses_; }
  // Whether all words at the address are the record's.
  bool Is(uint32_t record, uint64_t address) const {
    const auto* words = reinterpret_cast<const uint32_t*>(address);
    for (uint32_t i = 0; i < words_per_record_; ++i) {
      if (words[i] != Word(record, i)) return false;
    }
    return true;
  }

 private:
  static uint32_t Word(uint32_t record, uint32_t i) { return (record << 12 | i) * 2654435761U; }

  const uint32_t words_per_record_;
  std::vector<uint32_t> words_;
  std::vector<uint64_t> addresses_;
};

struct PoolShape {
  uint32_t num_layers = 2;
  uint32_t num_experts = 8;
  uint32_t hard_slots = 0;
  uint32_t soft_slots = 0;  // after the hard ones
  uint32_t kv_frames = 0;   // after the slots
  uint32_t record_bytes = 4096;
};

// Owns all that a pool needs, and the pool. The steps' stream is the device's first, the pool's
// copy stream its second.
class PoolOnCpu {
 public:
  explicit PoolOnCpu(const PoolShape& shape, worker::PoolOptions options = {})
      : shape_(shape),
        records_(shape.num_layers * shape.num_experts, shape.record_bytes),
        device_(uint64_t{num_frames()} * shape.record_bytes + (uint64_t{1} << 20)) {
    options.check_table = true;
    stream_ = Get(device_.CreateStream("steps"));
    table_ = Get(
        worker::AddressTable::Create(device_, *stream_, shape.num_experts, records_.addresses()));
    counters_ = Get(
        worker::ActivationCounters::Create(device_, *stream_, shape.num_layers, shape.num_experts));
    arena_ = Get(worker::FrameArena::Create(device_, shape.record_bytes, num_frames()));
    for (uint32_t f = 0; f < num_frames(); ++f) arena_->SetUse(worker::FrameId{f}, FirstUse(f));
    pool_ = Get(worker::ExpertPool::Create(options,
                                           {.device = device_,
                                            .arena = *arena_,
                                            .table = *table_,
                                            .counters = *counters_,
                                            .record_addresses = records_.addresses()},
                                           shape.num_experts));
  }

  worker::ExpertPool& pool() { return *pool_; }
  worker::FrameArena& arena() { return *arena_; }
  WatchedDevice& device() { return device_; }
  const worker::FrameArena& arena() const { return *arena_; }
  const MarkedRecords& records() const { return records_; }
  kernels::CpuStream& stream() { return device_.stream(0); }
  kernels::CpuStream& copy_stream() { return device_.stream(1); }
  uint32_t num_records() const { return shape_.num_layers * shape_.num_experts; }
  uint32_t num_frames() const { return shape_.hard_slots + shape_.soft_slots + shape_.kv_frames; }

  // The device's table entry. Device memory: read it from a task of the steps' stream, or once
  // that stream has come to its end.
  uint64_t DeviceEntry(worker::RecordIndex record) const {
    return table_->layer(record / shape_.num_experts)[record % shape_.num_experts];
  }
  // The frame that an address lies in; -1 for one outside the arena.
  int FrameOf(uint64_t address) const {
    const auto base = reinterpret_cast<uint64_t>(arena_->base());
    if (address < base || address >= base + uint64_t{num_frames()} * shape_.record_bytes) return -1;
    return static_cast<int>((address - base) / shape_.record_bytes);
  }

  // Enqueues "the router chose these records" as a part of a step.
  void EnqueueRouting(std::vector<worker::RecordIndex> chosen) {
    stream().Enqueue([this, chosen = std::move(chosen)] {
      for (const worker::RecordIndex record : chosen) {
        ++counters_->layer(record / shape_.num_experts)[record % shape_.num_experts];
      }
    });
  }
  void SetCounter(worker::RecordIndex record, uint32_t count) {
    stream().Enqueue([this, record, count] {
      counters_->layer(record / shape_.num_experts)[record % shape_.num_experts] = count;
    });
  }
  // One whole step that routes `num_tokens` tokens to these records.
  void Step(std::vector<worker::RecordIndex> chosen = {}, uint32_t num_tokens = 1) {
    pool_->BeginStep(stream());
    EnqueueRouting(std::move(chosen));
    pool_->EndStep(stream());
    pool_->PlanNext();
    stream().Synchronize();
    pool_->FinishStep(num_tokens);
  }
  // Until nothing is queued or on its way.
  void Settle() {
    while (pool_->Maintain(stream())) copy_stream().Synchronize();
    stream().Synchronize();
  }

 private:
  template <typename T>
  static T Get(absl::StatusOr<T> value) {
    SF_CHECK_OK(value.status());
    return *std::move(value);
  }
  worker::FrameUse FirstUse(uint32_t frame) const {
    if (frame < shape_.hard_slots) return worker::FrameUse::kHardSlot;
    if (frame < shape_.hard_slots + shape_.soft_slots) return worker::FrameUse::kSoftSlot;
    return worker::FrameUse::kKv;
  }

  const PoolShape shape_;
  const MarkedRecords records_;
  WatchedDevice device_;
  std::unique_ptr<kernels::Stream> stream_;
  std::unique_ptr<worker::AddressTable> table_;
  std::unique_ptr<worker::ActivationCounters> counters_;
  std::unique_ptr<worker::FrameArena> arena_;
  std::unique_ptr<worker::ExpertPool> pool_;
};

}  // namespace spearfish::tests

#endif  // TESTS_UNIT_WORKER_EXPERTS_POOL_ON_CPU_H_
