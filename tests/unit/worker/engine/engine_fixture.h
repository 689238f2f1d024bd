// An engine on fakes.
#ifndef TESTS_UNIT_WORKER_ENGINE_ENGINE_FIXTURE_H_
#define TESTS_UNIT_WORKER_ENGINE_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/worker/engine/fake_model.h"
#include "tests/unit/worker/engine/fake_tokenizer.h"
#include "tests/unit/worker/engine/recorder.h"
#include "worker/engine/engine.h"

namespace spearfish::worker {

inline std::string NumberedId(size_t i) { return absl::StrCat("r", i); }

inline GenerationRequest MakeRequest(std::string id, std::vector<TokenId> prompt,
                                     uint32_t max_tokens = 8) {
  GenerationRequest request;
  request.request_id = std::move(id);
  request.prompt = std::move(prompt);
  request.stopping.max_tokens = max_tokens;
  return request;
}

// A prompt of `length` tokens below `vocab_size`, different for every seed.
inline std::vector<TokenId> MakePrompt(uint32_t length, uint64_t seed, uint32_t vocab_size = 64) {
  std::vector<TokenId> prompt(length);
  for (uint32_t i = 0; i < length; ++i) {
    prompt[i] = static_cast<TokenId>(MixHash(seed, i) % vocab_size);
  }
  return prompt;
}

class EngineTest : public ::testing::Test {
 protected:
  // The limit is the test's own, of ctest.
  static constexpr absl::Duration kLong = absl::InfiniteDuration();

  // While what a derived fixture's clock and callbacks use is still there.
  void TearDown() override {
    ReleaseSteps();  // after a failed assertion they may be held
    engine_.reset();
  }

  void Start(const EngineOptions& options = {}, FakeModelOptions model_options = {},
             std::function<void(const StepInput&)> on_forward = nullptr) {
    engine_.reset();
    model_ = std::make_unique<FakeModel>(std::move(model_options));
    model_->set_on_forward([this, on_forward = std::move(on_forward)](const StepInput& input) {
      steps_may_run_.wait(false);
      if (on_forward) on_forward(input);
    });
    auto engine = Engine::Create(options, *model_, tokenizer_);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // The engine stops at its next step until ReleaseSteps: what is submitted between is all there.
  void HoldSteps() { steps_may_run_ = false; }
  void ReleaseSteps() {
    steps_may_run_ = true;
    steps_may_run_.notify_all();
  }

  void Submit(const GenerationRequest& request, Recorder& recorder) {
    const absl::Status status = engine_->Submit(request, recorder.Sink());
    ASSERT_TRUE(status.ok()) << status;
  }

  // Runs one request alone.
  Recorder Run(const GenerationRequest& request) {
    Recorder recorder;
    Submit(request, recorder);
    EXPECT_TRUE(engine_->WaitIdle(kLong));
    return recorder;
  }

  void ExpectIdleAndFree() {
    ASSERT_TRUE(engine_->WaitIdle(kLong));
    const EngineStats stats = engine_->stats();
    EXPECT_EQ(stats.num_running, 0u);
    EXPECT_EQ(stats.num_waiting, 0u);
    EXPECT_EQ(stats.kv_blocks_used, 0u);
  }

  std::atomic<bool> steps_may_run_{true};
  FakeTokenizer tokenizer_ = FakeTokenizer::Ascii(64);
  std::unique_ptr<FakeModel> model_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_ENGINE_ENGINE_FIXTURE_H_
