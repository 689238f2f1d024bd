// One Generate call of a router, forwarded as a GenerateStream.
#ifndef COMMON_VLLM_ENGINE_GENERATE_REACTOR_H_
#define COMMON_VLLM_ENGINE_GENERATE_REACTOR_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "common/rpc/live_calls.h"
#include "common/vllm_engine/forwarding.h"
#include "common/vllm_engine/output_converter.h"
#include "common/vllm_engine/wire.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::vllm_engine {

// Converts the request (a text prompt is tokenised first where that needs token ids), then messages
// one by one: a read, a write if there is something to say, the next read. So a slow router holds
// its stream back and nothing piles up. Deletes itself in OnDone. The reactions follow one another;
// only OnCancel comes at any time, and touches only what the mutex guards.
class GenerateReactor final : public grpc::ServerWriteReactor<wire::GenerateResponse> {
 public:
  // All but `caller` must outlive the call; gRPC keeps `request` as long.
  GenerateReactor(const Upstream& upstream, LiveCalls& live, grpc::CallbackServerContext& context,
                  const wire::GenerateRequest& request, std::string caller);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  // The stream that spearfish.v1 answers with.
  class Stream final : public grpc::ClientReadReactor<v1::GenerateStreamResponse> {
   public:
    explicit Stream(GenerateReactor& owner) : owner_(owner) {}
    void Start(grpc::ClientContext* context);
    void Read() { StartRead(&response_); }
    void OnReadDone(bool ok) override;
    void OnDone(const grpc::Status& status) override { owner_.End(status); }

   private:
    GenerateReactor& owner_;
    v1::GenerateStreamResponse response_;
  };

  void StartTokenizing();
  void StartStream();
  void Forward(v1::GenerateStreamResponse event);
  void End(const grpc::Status& status);
  // Of the next call upstream; it is cancelled when this one is.
  grpc::ClientContext* NewContext();
  void Cancel();

  const Upstream& upstream_;
  const LiveCalls::Call live_;
  grpc::CallbackServerContext& context_;
  const wire::GenerateRequest& request_;
  const std::string caller_;
  v1::GenerateStreamRequest converted_;
  v1::TokenizeRequest tokenize_request_;
  v1::TokenizeResponse tokenized_;
  std::optional<OutputConverter> converter_;
  wire::GenerateResponse response_;  // of the write in flight
  Stream stream_;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::ClientContext> call_;  // replaced only between calls, under the mutex
};

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_GENERATE_REACTOR_H_
