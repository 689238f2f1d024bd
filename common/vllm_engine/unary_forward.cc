#include "common/vllm_engine/unary_forward.h"

#include <utility>

#include "common/vllm_engine/forwarding.h"

namespace spearfish::vllm_engine {

UnaryForward::UnaryForward(grpc::CallbackServerContext& context, std::string caller,
                           std::vector<Question> questions, Answer answer)
    : context_(context),
      caller_(std::move(caller)),
      questions_(std::move(questions)),
      answer_(std::move(answer)) {
  Ask();
}

void UnaryForward::Ask() {
  auto upstream = ForwardedContext(context_, caller_);
  grpc::ClientContext* const started = upstream.get();
  {
    const MutexLock lock(mutex_);
    upstream_.swap(upstream);
    if (cancelled_) upstream_->TryCancel();
  }
  questions_[next_++](started, [this](const grpc::Status& status) { Answered(status); });
}

void UnaryForward::Answered(const grpc::Status& status) {
  if (status.ok() && next_ < questions_.size()) {
    Ask();
    return;
  }
  ReturnPushback(*upstream_, context_);
  Finish(answer_(status));
}

void UnaryForward::OnCancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (upstream_ != nullptr) upstream_->TryCancel();
}

}  // namespace spearfish::vllm_engine
