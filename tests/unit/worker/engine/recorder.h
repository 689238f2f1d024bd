// Records the events of one request and checks their order.
#ifndef TESTS_UNIT_WORKER_ENGINE_RECORDER_H_
#define TESTS_UNIT_WORKER_ENGINE_RECORDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/engine/request.h"

namespace spearfish::worker {

struct RecordedSequence {
  std::vector<TokenId> tokens;
  std::string text;
  std::vector<PositionLogprobs> logprobs;
  std::optional<SequenceFinished> finished;
};

// Written on the engine thread; read on it, or after WaitIdle. Copies share the record.
class Recorder {
 public:
  Recorder();

  // The sink to submit; one request a recorder. `on_event` runs after each event was recorded.
  EventSink Sink(std::function<void(const EngineEvent&)> on_event = nullptr);

  const std::optional<PromptDone>& prompt() const { return log_->prompt; }
  const RecordedSequence& sequence(uint32_t index = 0) const { return log_->sequences[index]; }
  size_t num_finished() const { return log_->num_finished; }
  size_t num_events() const { return log_->num_events; }
  // OK unless RequestFailed came.
  const absl::Status& failure() const { return log_->failure; }
  // Nobody can send events any more.
  bool sink_destroyed() const { return log_.use_count() == 1; }

 private:
  struct Log {
    std::optional<PromptDone> prompt;
    std::map<uint32_t, RecordedSequence> sequences;
    size_t num_finished = 0;
    size_t num_events = 0;
    absl::Status failure;
  };
  static void Record(Log& log, const EngineEvent& event);

  std::shared_ptr<Log> log_;  // shared with the sink, which may outlive the recorder
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_ENGINE_RECORDER_H_
