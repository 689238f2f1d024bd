// One call to every worker at once, answered when the last has answered.
#ifndef SERVER_API_FAN_OUT_H_
#define SERVER_API_FAN_OUT_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "server/dispatch/worker_registry.h"

namespace spearfish::server {

// Merges the answers of the workers that gave one within the timeout; those that did not are left
// out. Deletes itself in OnDone.
template <typename Request, typename Response>
class FanOut final : public grpc::ServerUnaryReactor {
 public:
  using Call = std::function<void(const WorkerConnection&, grpc::ClientContext*, const Request*,
                                  Response*, std::function<void(grpc::Status)>)>;
  // Called once per good answer, in the order of the workers, on one thread.
  using Merge = std::function<void(const WorkerConnection&, const Response&)>;

  using Workers = std::vector<std::shared_ptr<const WorkerConnection>>;

  FanOut(Workers workers, const Request& request, const Call& call, Merge merge)
      : workers_(std::move(workers)), merge_(std::move(merge)), pending_(workers_.size()) {
    if (workers_.empty()) Finish(grpc::Status::OK);
    for (size_t i = 0; i < workers_.size(); ++i) legs_.push_back(std::make_unique<Leg>());
    for (size_t i = 0; i < workers_.size(); ++i) {
      Leg& leg = *legs_[i];
      leg.request = request;
      leg.context.set_deadline(std::chrono::system_clock::now() + kTimeout);
      call(*workers_[i], &leg.context, &leg.request, &leg.response,
           [this, &leg](const grpc::Status& status) { LegDone(leg, status.ok()); });
    }
  }

  void OnDone() override { delete this; }

 private:
  static constexpr std::chrono::seconds kTimeout{2};

  struct Leg {
    grpc::ClientContext context;
    Request request;
    Response response;
    bool ok = false;
  };

  void LegDone(Leg& leg, bool ok) {
    {
      const MutexLock lock(mutex_);
      leg.ok = ok;
      if (--pending_ > 0) return;
    }
    for (size_t i = 0; i < legs_.size(); ++i) {
      if (legs_[i]->ok) merge_(*workers_[i], legs_[i]->response);
    }
    Finish(grpc::Status::OK);
  }

  const Workers workers_;
  const Merge merge_;
  std::vector<std::unique_ptr<Leg>> legs_;
  Mutex mutex_;
  size_t pending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::server

#endif  // SERVER_API_FAN_OUT_H_
