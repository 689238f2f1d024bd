// A Model that keeps a real paged cache of FakeLanguage's cells: a wrong block table, position or
// chunk changes what it says.
#ifndef TESTS_UNIT_WORKER_ENGINE_FAKE_MODEL_H_
#define TESTS_UNIT_WORKER_ENGINE_FAKE_MODEL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "tests/unit/worker/engine/fake_language.h"
#include "worker/kv/fixed_block_source.h"
#include "worker/model/model.h"

namespace spearfish::worker {

struct FakeModelOptions {
  FakeLanguage language = {};
  std::vector<TokenId> config_eos_ids = {};
  std::vector<TokenId> generation_eos_ids = {};
  uint32_t max_model_len = 96;
  uint32_t num_kv_blocks = 1024;
  uint32_t kv_block_tokens = 4;
  BlockSource* kv_blocks = nullptr;  // in place of num_kv_blocks blocks that are there for good
  uint32_t max_step_tokens = 512;
  uint32_t max_borrowed_step_tokens = 0;  // 0 = max_step_tokens
  uint32_t max_step_sequences = 64;
};

// Checks every step against the contract in model.h with EXPECTs. Two of its three layers are MoE
// with 2 experts a token, of which position % 3 hit a slot.
class FakeModel final : public Model {
 public:
  static constexpr uint32_t kActivationsPerRow = 4;
  static constexpr uint64_t kRecordBytes = 4096;

  explicit FakeModel(FakeModelOptions options);

  // Called at the start of every step, on the engine's thread. Set before the engine starts.
  void set_on_forward(std::function<void(const StepInput&)> hook) { on_forward_ = std::move(hook); }
  // The rows given when so many are asked for; without it all of them. Set before the engine
  // starts.
  void set_grant(std::function<uint32_t(uint32_t)> grant) { grant_ = std::move(grant); }
  // Called when rows are given back. Set before the engine starts.
  void set_on_return(std::function<void()> hook) { on_return_ = std::move(hook); }
  // So many calls of Maintain say that copies are on their way.
  void set_num_copies(uint32_t num_copies) { num_copies_ = num_copies; }

  // Any thread.
  uint32_t num_borrows() const { return num_borrows_; }
  uint32_t num_returns() const { return num_returns_; }
  uint32_t num_maintains() const { return num_maintains_; }

  const ModelConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  uint32_t max_model_len() const override { return options_.max_model_len; }
  BlockSource& kv_blocks() override {
    return options_.kv_blocks != nullptr ? *options_.kv_blocks : own_blocks_;
  }
  uint32_t kv_block_tokens() const override { return options_.kv_block_tokens; }
  uint32_t max_step_tokens() const override { return options_.max_step_tokens; }
  uint32_t max_borrowed_step_tokens() const override {
    return std::max(options_.max_step_tokens, options_.max_borrowed_step_tokens);
  }
  uint32_t max_step_sequences() const override { return options_.max_step_sequences; }
  uint64_t expert_record_bytes() const override { return kRecordBytes; }

  uint32_t BorrowStepTokens(uint32_t num_rows) override;
  void ReturnStepTokens() override;
  bool Maintain() override;
  PoolFigures pool_figures() const override { return {}; }

  void Forward(const StepInput& input, StepOutput& output) override;

 private:
  void CheckStep(const StepInput& input) const;
  size_t SlotOf(const StepSequence& sequence, uint32_t position) const;
  void ComputeRows(const StepInput& input, StepOutput& output);
  void AnswerLogitRow(const StepInput& input, const StepLogitRow& row, StepOutput& output) const;

  const FakeModelOptions options_;
  ModelConfig config_;
  GenerationConfig generation_config_;
  FixedBlockSource own_blocks_;
  std::function<void(const StepInput&)> on_forward_;
  std::function<uint32_t(uint32_t)> grant_;
  std::function<void()> on_return_;
  uint32_t num_copies_ = 0;
  uint32_t granted_rows_ = 0;
  std::atomic<uint32_t> num_borrows_{0};
  std::atomic<uint32_t> num_returns_{0};
  std::atomic<uint32_t> num_maintains_{0};
  std::vector<uint64_t> cells_;  // [num_kv_blocks * kv_block_tokens]

  struct RowState {
    uint64_t state;
    uint32_t num_tokens;
  };
  std::vector<RowState> rows_;  // of the current step
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_ENGINE_FAKE_MODEL_H_
