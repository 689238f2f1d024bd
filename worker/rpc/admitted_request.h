// A request that passed conversion, and the engine that it is for.
#ifndef WORKER_RPC_ADMITTED_REQUEST_H_
#define WORKER_RPC_ADMITTED_REQUEST_H_

#include "worker/engine/engine.h"
#include "worker/engine/request.h"
#include "worker/rpc/event_conversion.h"

namespace spearfish::worker {

struct AdmittedRequest {
  Engine& engine;  // outlives every call
  GenerationRequest request;
  EventDetail detail;
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_ADMITTED_REQUEST_H_
