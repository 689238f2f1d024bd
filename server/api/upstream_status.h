// What a worker's failure means to the gateway's client.
#ifndef SERVER_API_UPSTREAM_STATUS_H_
#define SERVER_API_UPSTREAM_STATUS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstdint>

#include "absl/status/status.h"
#include "server/admission/admission_queue.h"
#include "server/metrics/gateway_metrics.h"

namespace spearfish::server {

// The worker did not serve the request (loading, draining, died), which says nothing about the
// request: another worker may have it. Of a call that nobody cancelled on this side.
bool IsWorkerLost(const grpc::Status& status);

// Of a lost worker: whether it shows that the worker is in no state to serve. A cancelled call does
// not: the client's cancel may be seen here before it is seen on the client's side.
bool IsWorkersFault(const grpc::Status& status);

// The worker that was lost may still be ending this request, or its queue is full: for a request
// that some worker has admitted before, reasons to ask another.
bool IsRefusedForNow(const grpc::Status& status);

// For a stream that has begun and can't be resumed: UNAVAILABLE with an ErrorInfo {reason
// WORKER_LOST, domain spearfish.v1, metadata tokens_delivered}.
grpc::Status WorkerLost(const grpc::Status& status, uint64_t tokens_delivered);

// What the client hears when dispatch found no worker.
grpc::Status NoWorker(const absl::Status& status);

// As metrics name it.
Rejection ToRejection(RefusalReason reason);

// RESOURCE_EXHAUSTED with RetryInfo; adds the pushback trailer to the call.
grpc::Status Refused(const Refusal& refusal, grpc::ServerContextBase& context);

// Passes the worker's grpc-retry-pushback-ms trailer on. Call after the upstream call is done.
void CopyPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to);

}  // namespace spearfish::server

#endif  // SERVER_API_UPSTREAM_STATUS_H_
