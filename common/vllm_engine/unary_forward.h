// One unary call that spearfish.v1 answers.
#ifndef COMMON_VLLM_ENGINE_UNARY_FORWARD_H_
#define COMMON_VLLM_ENGINE_UNARY_FORWARD_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace spearfish::vllm_engine {

// Asks one question of spearfish.v1 after the other; the first that fails is the last. Deletes
// itself in OnDone. Questions and `answer` run one after another, on threads of gRPC.
class UnaryForward final : public grpc::ServerUnaryReactor {
 public:
  using Done = std::function<void(grpc::Status)>;
  // Starts an asynchronous call with the context and reports its end.
  using Question = std::function<void(grpc::ClientContext*, Done)>;
  // Given how the last question ended, fills the response and says how the call ends.
  using Answer = std::function<grpc::Status(const grpc::Status&)>;

  UnaryForward(grpc::CallbackServerContext& context, std::string caller,
               std::vector<Question> questions, Answer answer);

  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  void Ask();
  void Answered(const grpc::Status& status);

  grpc::CallbackServerContext& context_;
  const std::string caller_;
  const std::vector<Question> questions_;
  const Answer answer_;
  size_t next_ = 0;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::ClientContext> upstream_;  // replaced only between calls, under the mutex
};

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_UNARY_FORWARD_H_
