// Engine events to spearfish.v1 messages. Pure.
#ifndef WORKER_RPC_EVENT_CONVERSION_H_
#define WORKER_RPC_EVENT_CONVERSION_H_

#include <string>

#include "spearfish/v1/inference.pb.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

v1::PromptInfo ToProto(const PromptDone& prompt, const std::string& request_id);
v1::Delta ToProto(TokensDelta delta);
v1::Finish ToProto(const SequenceFinished& finished);

// Appends what `from` holds to `into`: as if the tokens had come in one delta.
void MergeDelta(v1::Delta from, v1::Delta& into);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_EVENT_CONVERSION_H_
