// The context of a call to a worker on behalf of a client's.
#ifndef SERVER_API_UPSTREAM_CONTEXT_H_
#define SERVER_API_UPSTREAM_CONTEXT_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "server/api/entrance.h"
#include "server/metrics/call_record.h"

namespace spearfish::server {

// The deadline comes from the client's call, and so does its trace context if it is valid,
// unchanged: the gateway adds no span. Nothing else of its metadata is passed on, and its
// cancellation is not: the reactor's OnCancel does that.
std::unique_ptr<grpc::ClientContext> UpstreamContext(const grpc::CallbackServerContext& client);

// A record of the call, with its identity if somebody wants to know.
CallRecord RecordOf(const Entrance& entrance, Method method,
                    const grpc::CallbackServerContext& client, const std::string& request_id = "",
                    uint32_t num_sequences = 0);

}  // namespace spearfish::server

#endif  // SERVER_API_UPSTREAM_CONTEXT_H_
