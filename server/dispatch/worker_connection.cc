#include "server/dispatch/worker_connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

namespace spearfish::server {

WorkerConnection ConnectToWorker(WorkerId id, const std::string& address, absl::Duration silence,
                                 ChannelSecurity& security) {
  const int silence_ms = static_cast<int>(absl::ToInt64Milliseconds(silence));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // prompt log-probabilities can be large
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, silence_ms);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, silence_ms);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A connection of its own for each: equal channels would share one, and outlive each other.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  security.Adapt(arguments);
  const ChannelSecurity::Credentials credentials = security.Current();
  WorkerConnection worker;
  worker.id = id;
  worker.address = address;
  worker.security_version = credentials.version;
  worker.channel = grpc::CreateCustomChannel(address, credentials.credentials, arguments);
  worker.inference = v1::InferenceService::NewStub(worker.channel);
  worker.control = v1::ControlService::NewStub(worker.channel);
  return worker;
}

}  // namespace spearfish::server
