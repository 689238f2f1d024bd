// A worker's real RPC server over a FakeEngine, and a channel to it.
#ifndef TESTS_UNIT_WORKER_RPC_RPC_TEST_SERVER_H_
#define TESTS_UNIT_WORKER_RPC_RPC_TEST_SERVER_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"
#include "tests/unit/worker/rpc/byte_tokenizer.h"
#include "tests/unit/worker/rpc/fake_engine.h"
#include "worker/rpc/rpc_server.h"

namespace spearfish::worker {

inline constexpr uint32_t kTestVocabSize = 300;
inline constexpr uint32_t kTestMaxModelLen = 1u << 20;

// Ready from the start unless constructed with kLoading.
class RpcTestServer {
 public:
  enum class Begin { kReady, kLoading };
  // `service_config` as gRPC's JSON, for the client; empty for none.
  explicit RpcTestServer(Begin begin = Begin::kReady, std::string listen = "127.0.0.1:0",
                         const std::string& service_config = "", bool log_requests = false);
  ~RpcTestServer();

  void SetLoaded() { state_.SetLoaded(model_); }
  void Shutdown(absl::Duration grace) { server_->Shutdown(grace); }

  FakeEngine& engine() { return engine_; }
  ServingState& state() { return state_; }
  const std::string& address() const { return server_->address(); }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  v1::InferenceService::Stub& inference() { return *inference_; }
  v1::ControlService::Stub& control() { return *control_; }

  // Any unary method by its path, in bytes.
  grpc::Status CallRaw(const std::string& method, const std::string& request,
                       std::string& response) const;
  // 1 = SERVING, 2 = NOT_SERVING, as grpc.health.v1 numbers them; 0 = the call failed.
  int Health(const std::string& service) const;

 private:
  ByteTokenizer tokenizer_;
  FakeEngine engine_;
  std::string cache_bytes_;
  LoadedModel model_;
  ServingState state_{"cpu"};
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::InferenceService::Stub> inference_;
  std::unique_ptr<v1::ControlService::Stub> control_;
};

using StreamReader = grpc::ClientReader<v1::GenerateStreamResponse>;
// Reads what is left, which Finish alone would wait for, and gives the status.
grpc::Status FinishReading(StreamReader& reader);

v1::GenerateStreamRequest StreamRequest(const std::string& id);
v1::GenerateRequest UnaryRequest(const std::string& id);

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_RPC_RPC_TEST_SERVER_H_
