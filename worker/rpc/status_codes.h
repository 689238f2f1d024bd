// The one place where the worker's absl::Status becomes a gRPC status.
//
// | cause | code | detail |
// |---|---|---|
// | bad parameters, id >= vocabulary, prompt too long or empty | INVALID_ARGUMENT | |
// | unknown model | NOT_FOUND | |
// | request_id already running | ALREADY_EXISTS | |
// | queue full, host memory below the floor | RESOURCE_EXHAUSTED | RetryInfo, pushback trailer |
// | loading, draining, engine gone | UNAVAILABLE | |
// | deadline, cancelled | DEADLINE_EXCEEDED, CANCELLED | |
// | cache checksum mismatch | DATA_LOSS | |
#ifndef WORKER_RPC_STATUS_CODES_H_
#define WORKER_RPC_STATUS_CODES_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spearfish::worker {

// How long a client is asked to stay away after RESOURCE_EXHAUSTED.
inline constexpr absl::Duration kRetryDelay = absl::Seconds(1);
// Trailing metadata that gRPC's own retry machinery obeys, in milliseconds.
inline constexpr char kRetryPushbackKey[] = "grpc-retry-pushback-ms";

// Codes are equal by number. RESOURCE_EXHAUSTED carries google.rpc.RetryInfo in
// `grpc-status-details-bin`.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same for the end of a call; adds the pushback trailer to `context` where one belongs. The
// context's trailers may not be touched by another thread meanwhile.
grpc::Status FinalStatus(const absl::Status& status, grpc::CallbackServerContext& context);

}  // namespace spearfish::worker

#endif  // WORKER_RPC_STATUS_CODES_H_
