#include "server/api/upstream_context.h"

#include "common/base/trace_context.h"
#include "common/rpc/caller_identity.h"

namespace spearfish::server {

std::unique_ptr<grpc::ClientContext> UpstreamContext(const grpc::CallbackServerContext& client) {
  // OnCancel cancels it: cancelled by propagation it could end before the client's side says so,
  // and look like a lost worker.
  auto upstream = grpc::ClientContext::FromCallbackServerContext(
      client, grpc::PropagationOptions().disable_cancellation_propagation());
  const TraceContext trace = TraceContextOf(client.client_metadata());
  if (!trace.traceparent.empty()) upstream->AddMetadata(kTraceparentKey, trace.traceparent);
  if (!trace.tracestate.empty()) upstream->AddMetadata(kTracestateKey, trace.tracestate);
  return upstream;
}

CallRecord RecordOf(const Entrance& entrance, Method method,
                    const grpc::CallbackServerContext& client, const std::string& request_id,
                    uint32_t num_sequences) {
  CallRecord record(entrance.telemetry, method, num_sequences);
  if (record.wants_identity()) {
    record.set_identity(
        {.request_id = request_id,
         .client = CallerOf(client, entrance.tokens),
         .trace_id = std::string(TraceContextOf(client.client_metadata()).trace_id())});
  }
  return record;
}

}  // namespace spearfish::server
