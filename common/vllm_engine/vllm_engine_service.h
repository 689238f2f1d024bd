// The service vllm.grpc.engine.VllmEngine, for routers that drive vLLM engines.
#ifndef COMMON_VLLM_ENGINE_VLLM_ENGINE_SERVICE_H_
#define COMMON_VLLM_ENGINE_VLLM_ENGINE_SERVICE_H_

#include <grpcpp/channel.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/rpc/live_calls.h"
#include "common/vllm_engine/forwarding.h"
#include "common/vllm_engine/wire.h"
#include "vllm/grpc/engine/vllm_engine.grpc.pb.h"

namespace spearfish::vllm_engine {

// Translates to spearfish.v1 and forwards there, so that admission, dispatch, resumption and seeds
// are those of every other client. Keeps nothing of a call. Thread-safe; must outlive the server
// that it is registered with, and that of the channel. What it does not override is UNIMPLEMENTED.
class VllmEngineService final : public wire::VllmEngine::CallbackService {
 public:
  // Names whom a call is counted for; empty: nobody.
  using CallerOf = std::function<std::string(const grpc::ServerContextBase&)>;

  explicit VllmEngineService(CallerOf caller_of = nullptr);

  // Where calls go, which are UNAVAILABLE before. Once; with ChannelTo the server that it is
  // registered with, when that has started.
  void Connect(std::shared_ptr<grpc::Channel> channel);

  // Waits until no Generate runs. The server's own Shutdown has to come after it: that ends calls
  // within the process at once, whatever grace it gives. False when the time has passed.
  bool AwaitIdle(absl::Duration timeout) { return live_.AwaitNone(timeout); }

  grpc::ServerWriteReactor<wire::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const wire::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* HealthCheck(grpc::CallbackServerContext* context,
                                        const wire::HealthCheckRequest* request,
                                        wire::HealthCheckResponse* response) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const wire::AbortRequest* request,
                                  wire::AbortResponse* response) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context,
                                         const wire::GetModelInfoRequest* request,
                                         wire::GetModelInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const wire::GetServerInfoRequest* request,
                                          wire::GetServerInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetLoads(grpc::CallbackServerContext* context,
                                     const wire::GetLoadsRequest* request,
                                     wire::GetLoadsResponse* response) override;

 private:
  // Null before Connect.
  const Upstream* upstream() const { return connected_.load(std::memory_order_acquire); }
  std::string Caller(const grpc::ServerContextBase& context) const;
  absl::Time last_received() const;

  const CallerOf caller_of_;
  LiveCalls live_;
  std::atomic<int64_t> last_received_ns_ = 0;  // a Generate, on the system clock; 0: none yet
  std::unique_ptr<const Upstream> upstream_;
  std::atomic<const Upstream*> connected_ = nullptr;
};

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_VLLM_ENGINE_SERVICE_H_
