// How a call that came over the wire goes on to spearfish.v1 in the same process.
#ifndef COMMON_VLLM_ENGINE_FORWARDING_H_
#define COMMON_VLLM_ENGINE_FORWARDING_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::vllm_engine {

// To the server itself, without a socket and without a bound on messages: those were checked on
// their way in, and answers are as long as was asked for.
std::shared_ptr<grpc::Channel> ChannelTo(grpc::Server& server);

// The services that calls are forwarded to.
struct Upstream {
  explicit Upstream(std::shared_ptr<grpc::Channel> channel);

  const std::unique_ptr<v1::InferenceService::Stub> inference;
  const std::unique_ptr<v1::ControlService::Stub> control;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

// With the deadline and trace of `from`, cancelled when it is, on behalf of `caller`,
// whom admission counts it for (empty: nobody).
std::unique_ptr<grpc::ClientContext> ForwardedContext(grpc::CallbackServerContext& from,
                                                      const std::string& caller);

// The trailer that tells a client how long to stay away. Call after the forwarded call is done.
void ReturnPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to);

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_FORWARDING_H_
