#include "common/vllm_engine/forwarding.h"

#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "common/rpc/caller_identity.h"

namespace spearfish::vllm_engine {
namespace {

constexpr char kPushbackKey[] = "grpc-retry-pushback-ms";
// What else of a call's metadata concerns the services behind it.
constexpr const char* kPassedOn[] = {"traceparent", "tracestate"};

std::string ToString(grpc::string_ref text) { return std::string(text.data(), text.size()); }

}  // namespace

std::shared_ptr<grpc::Channel> ChannelTo(grpc::Server& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return server.InProcessChannel(arguments);
}

Upstream::Upstream(std::shared_ptr<grpc::Channel> channel)
    : inference(v1::InferenceService::NewStub(channel)),
      control(v1::ControlService::NewStub(channel)),
      health(grpc::health::v1::Health::NewStub(std::move(channel))) {}

std::unique_ptr<grpc::ClientContext> ForwardedContext(grpc::CallbackServerContext& from,
                                                      const std::string& caller) {
  std::unique_ptr<grpc::ClientContext> to = grpc::ClientContext::FromCallbackServerContext(from);
  for (const char* const key : kPassedOn) {
    const auto values = from.client_metadata().equal_range(key);
    for (auto value = values.first; value != values.second; ++value) {
      to->AddMetadata(key, ToString(value->second));
    }
  }
  if (!caller.empty()) CallFor(caller, *to);
  return to;
}

void ReturnPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to) {
  const auto& trailers = from.GetServerTrailingMetadata();
  const auto found = trailers.find(kPushbackKey);
  if (found != trailers.end()) to.AddTrailingMetadata(kPushbackKey, ToString(found->second));
}

}  // namespace spearfish::vllm_engine
