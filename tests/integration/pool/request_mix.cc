#include "tests/integration/pool/request_mix.h"

#include <gtest/gtest.h>

#include <future>
#include <list>
#include <memory>
#include <random>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace spearfish::tests {

using worker::Engine;
using worker::EngineEvent;
using worker::EngineOptions;

// One request on its way; filled on the engine thread, read after `done`.
struct RequestMix::Live {
  uint32_t number = 0;
  Output output;
  absl::Status failure;
  std::promise<void> done;

  void Take(const EngineEvent& event) {
    if (const auto* delta = std::get_if<worker::TokensDelta>(&event)) {
      output.tokens.insert(output.tokens.end(), delta->token_ids.begin(), delta->token_ids.end());
      for (const auto& logprob : delta->logprobs) output.logprobs.push_back(logprob.chosen.logprob);
    } else if (const auto* failed = std::get_if<worker::RequestFailed>(&event)) {
      failure = failed->status;
      done.set_value();
    } else if (std::holds_alternative<worker::SequenceFinished>(event)) {
      done.set_value();
    }
  }
};

RequestMix::RequestMix(const RequestMixOptions& options) : options_(options) {}

worker::GenerationRequest RequestMix::Request(uint32_t number, uint64_t copy) const {
  std::mt19937 random(number);
  const auto below = [&random](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
  worker::GenerationRequest request;
  request.request_id = absl::StrCat("request ", number, " copy ", copy);
  // Every third prompt is long.
  const uint32_t length = number % 3 == 0 ? options_.max_prompt - below(options_.max_prompt / 4)
                                          : 1 + below(options_.max_prompt / 4);
  for (uint32_t i = 0; i < length; ++i) request.prompt.push_back(below(options_.vocab));
  if (number % 2 == 1) {
    request.sampling.temperature = 0.8f;
    request.sampling.top_p = 0.95f;
    request.sampling.seed = number;
  }
  request.stopping.max_tokens = 1 + below(options_.max_tokens);
  request.stopping.ignore_eos = true;
  request.output.logprobs = 0;
  return request;
}

void RequestMix::RunReference(worker::Model& model, const Tokenizer& tokenizer) {
  const auto engine = Engine::Create(EngineOptions(), model, tokenizer);
  SF_CHECK_OK(engine.status());
  for (uint32_t number = 0; number < options_.num_requests; ++number) {
    Live live;
    SF_CHECK_OK((*engine)->Submit(Request(number, 0),
                                  [&live](const EngineEvent& event) { live.Take(event); }));
    live.done.get_future().wait();
    SF_CHECK_OK(live.failure);
    expected_.push_back(std::move(live.output));
  }
}

void RequestMix::RunAgainstReference(worker::Model& model, const Tokenizer& tokenizer,
                                     uint64_t num_steps) {
  const auto engine = Engine::Create(EngineOptions(), model, tokenizer);
  SF_CHECK_OK(engine.status());
  std::mt19937 random(4711);
  std::list<std::unique_ptr<Live>> running;
  uint64_t copy = 0;
  const auto take_oldest = [&] {
    Live& live = *running.front();
    live.done.get_future().wait();
    EXPECT_TRUE(live.failure.ok()) << live.failure;
    EXPECT_TRUE(live.output == expected_[live.number]) << "request " << live.number;
    ++num_compared_;
    running.pop_front();
  };
  while ((*engine)->stats().steps_total < num_steps && !testing::Test::HasFailure()) {
    // Bursts of many requests, then the quiet in which frames go back to the experts.
    const size_t at_once = copy / 16 % 2 == 0 ? 8 : 2;
    while (running.size() >= at_once) take_oldest();
    running.push_back(std::make_unique<Live>());
    Live* const live = running.back().get();
    live->number = static_cast<uint32_t>(random() % options_.num_requests);
    SF_CHECK_OK((*engine)->Submit(Request(live->number, ++copy),
                                  [live](const EngineEvent& event) { live->Take(event); }));
  }
  while (!running.empty()) take_oldest();
}

}  // namespace spearfish::tests
