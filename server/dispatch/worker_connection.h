// One worker as an address and the channel to it.
#ifndef SERVER_DISPATCH_WORKER_CONNECTION_H_
#define SERVER_DISPATCH_WORKER_CONNECTION_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/rpc/channel_security.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Never used twice, also for a worker that left and came back.
enum class WorkerId : uint64_t {};

// Immutable apart from what gRPC synchronises itself.
struct WorkerConnection {
  WorkerId id = {};
  std::string address;
  uint64_t security_version = 0;           // of the credentials that the channel has
  std::shared_ptr<grpc::Channel> channel;  // shared with the stubs, as gRPC's API wants
  std::unique_ptr<v1::InferenceService::Stub> inference;
  std::unique_ptr<v1::ControlService::Stub> control;
};

// Makes the channel but does not wait for it. A worker that answers no ping for `silence` (stopped,
// or behind a partition) fails its calls with UNAVAILABLE after at most twice that.
WorkerConnection ConnectToWorker(WorkerId id, const std::string& address, absl::Duration silence,
                                 ChannelSecurity& security);

}  // namespace spearfish::server

#endif  // SERVER_DISPATCH_WORKER_CONNECTION_H_
