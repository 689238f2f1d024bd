// Engine events to spearfish.v1 messages. Pure.
#ifndef WORKER_RPC_EVENT_CONVERSION_H_
#define WORKER_RPC_EVENT_CONVERSION_H_

#include <string>

#include "common/tokenizer/tokenizer.h"
#include "spearfish/v1/inference.pb.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

// What a request's messages hold beyond the engine's events.
struct EventDetail {
  std::string request_id = {};
  bool begins_in_reasoning = false;
  // Log-probabilities get their tokens' bytes from it; null: none. Outlives every call.
  const Tokenizer* tokenizer = nullptr;
};

v1::PromptInfo ToProto(const PromptDone& prompt, const EventDetail& detail);
v1::Delta ToProto(TokensDelta delta, const EventDetail& detail);
v1::Finish ToProto(const SequenceFinished& finished);

// Appends what `from` holds to `into`: as if the tokens had come in one delta.
void MergeDelta(v1::Delta from, v1::Delta& into);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_EVENT_CONVERSION_H_
