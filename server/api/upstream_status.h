// What a worker's failure means to the gateway's client.
#ifndef SERVER_API_UPSTREAM_STATUS_H_
#define SERVER_API_UPSTREAM_STATUS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstdint>

namespace spearfish::server {

// True for UNAVAILABLE (loading, draining, died) while the client has seen nothing: the same
// request may go to another worker.
bool ShouldTryAnotherWorker(const grpc::Status& status, uint64_t messages_forwarded);

// UNAVAILABLE after the first message means the worker was lost: UNAVAILABLE with an ErrorInfo
// {reason WORKER_LOST, domain spearfish.v1, metadata tokens_delivered}. Others pass unchanged.
grpc::Status StatusAfterFirstMessage(const grpc::Status& status, uint64_t tokens_forwarded);

// Passes the worker's grpc-retry-pushback-ms trailer on. Call after the upstream call is done.
void CopyPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to);

}  // namespace spearfish::server

#endif  // SERVER_API_UPSTREAM_STATUS_H_
