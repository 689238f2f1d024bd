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

// Of a lost worker: whether it shows that the worker is in no state to serve. A call that it
// cancelled does not: it is stopping, and says so.
bool IsWorkersFault(const grpc::Status& status);

// The worker still ends this very request, which was lost on the way: for one that was tried
// before, a reason to ask another or to wait.
bool MeetsItself(const grpc::Status& status);

// It does, or its queue is full: for a request that some worker has admitted before, reasons to ask
// another.
bool IsRefusedForNow(const grpc::Status& status);

// For a request of which nothing has reached the client: UNAVAILABLE, whatever the worker's end
// looked like from here.
grpc::Status LostBeforeBegin(const grpc::Status& status);

// For a stream that has begun and can't be resumed: UNAVAILABLE with an ErrorInfo {reason
// WORKER_LOST, domain spearfish.v1, metadata tokens_delivered}.
grpc::Status WorkerLost(const grpc::Status& status, uint64_t tokens_delivered);

// What the client hears when dispatch found no worker.
grpc::Status NoWorker(const absl::Status& status);

// As metrics name it.
Rejection ToRejection(RefusalReason reason);

// RESOURCE_EXHAUSTED with RetryInfo, with the pushback trailer on the call; UNAVAILABLE without a
// worker; ABORTED.
grpc::Status Refused(const Refusal& refusal, grpc::ServerContextBase& context);

// Passes the worker's grpc-retry-pushback-ms trailer on. Call after the upstream call is done.
void CopyPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to);

}  // namespace spearfish::server

#endif  // SERVER_API_UPSTREAM_STATUS_H_
