#include "tests/unit/worker/engine/recorder.h"

#include <gtest/gtest.h>

#include <utility>
#include <variant>

namespace spearfish::worker {

Recorder::Recorder() : log_(std::make_shared<Log>()) {}

EventSink Recorder::Sink(std::function<void(const EngineEvent&)> on_event) {
  return [log = log_, on_event = std::move(on_event)](const EngineEvent& event) {
    Record(*log, event);
    if (on_event) on_event(event);
  };
}

void Recorder::Record(Log& log, const EngineEvent& event) {
  EXPECT_TRUE(log.failure.ok()) << "event after the request failed";
  ++log.num_events;
  if (const auto* prompt = std::get_if<PromptDone>(&event)) {
    EXPECT_EQ(log.num_events, 1u) << "PromptDone is the first event";
    log.prompt = *prompt;
  } else if (const auto* delta = std::get_if<TokensDelta>(&event)) {
    EXPECT_TRUE(log.prompt.has_value()) << "tokens before PromptDone";
    RecordedSequence& sequence = log.sequences[delta->index];
    EXPECT_FALSE(sequence.finished.has_value()) << "tokens after the end";
    sequence.tokens.insert(sequence.tokens.end(), delta->token_ids.begin(), delta->token_ids.end());
    sequence.text += delta->text;
    sequence.logprobs.insert(sequence.logprobs.end(), delta->logprobs.begin(),
                             delta->logprobs.end());
  } else if (const auto* finished = std::get_if<SequenceFinished>(&event)) {
    EXPECT_FALSE(log.sequences[finished->index].finished.has_value()) << "two ends";
    log.sequences[finished->index].finished = *finished;
    ++log.num_finished;
  } else {
    log.failure = std::get<RequestFailed>(event).status;
    EXPECT_FALSE(log.failure.ok());
  }
}

}  // namespace spearfish::worker
