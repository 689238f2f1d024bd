// A gRPC server on one Listener whose Tokenize answers who calls, and clients of it.
#ifndef TESTS_UNIT_RPC_PORT_SERVER_H_
#define TESTS_UNIT_RPC_PORT_SERVER_H_

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "common/rpc/caller_identity.h"
#include "common/rpc/listener.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish {

class PortServer {
 public:
  explicit PortServer(const ListenerOptions& options, const std::string& listen = "127.0.0.1:0") {
    auto listener = Listener::Create(listen, options);
    SF_CHECK_OK(listener.status());
    service_.gate = (*listener)->gate();
    grpc::ServerBuilder builder;
    (*listener)->AddTo(builder);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    auto address = (*listener)->BoundAddress(server_ != nullptr);
    SF_CHECK_OK(address.status());
    address_ = *std::move(address);
  }
  ~PortServer() { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }
  std::shared_ptr<grpc::Channel> InProcess() {
    return server_->InProcessChannel(grpc::ChannelArguments());
  }
  // Never shares a connection with an earlier one.
  std::shared_ptr<grpc::Channel> Connect(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials =
          grpc::InsecureChannelCredentials()) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride("localhost");
    return grpc::CreateCustomChannel(address_, credentials, arguments);
  }
  // Connected: of a client that is let in, the first connection may fail on a loaded machine.
  std::shared_ptr<grpc::Channel> Reach(const std::shared_ptr<grpc::ChannelCredentials>&
                                           credentials = grpc::InsecureChannelCredentials()) const {
    auto channel = Connect(credentials);
    EXPECT_TRUE(
        channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60)));
    return channel;
  }

 private:
  struct Service final : v1::InferenceService::Service {
    grpc::Status Tokenize(grpc::ServerContext* context, const v1::TokenizeRequest* /*request*/,
                          v1::TokenizeResponse* response) override {
      const std::string caller = CallerOf(*context, gate->tokens());
      for (const char c : caller) response->add_token_ids(static_cast<unsigned char>(c));
      return grpc::Status::OK;
    }
    std::shared_ptr<const CallGate> gate;
  };

  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

struct CallerAnswer {
  grpc::Status status;
  std::string caller;
};

// Asks Tokenize; `fill` may add metadata.
template <typename Fill>
CallerAnswer AskCaller(const std::shared_ptr<grpc::Channel>& channel, Fill fill) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  fill(context);
  v1::TokenizeResponse response;
  CallerAnswer answer;
  answer.status =
      v1::InferenceService::NewStub(channel)->Tokenize(&context, v1::TokenizeRequest(), &response);
  for (const uint32_t c : response.token_ids()) answer.caller.push_back(static_cast<char>(c));
  return answer;
}

inline CallerAnswer AskCaller(const std::shared_ptr<grpc::Channel>& channel) {
  return AskCaller(channel, [](grpc::ClientContext&) {});
}

inline CallerAnswer AskWithToken(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& token) {
  return AskCaller(channel, [&token](grpc::ClientContext& context) {
    context.AddMetadata("authorization", "Bearer " + token);
  });
}

}  // namespace spearfish

#endif  // TESTS_UNIT_RPC_PORT_SERVER_H_
