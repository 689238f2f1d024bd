// The gateway's own gRPC services, called in process: admission, dispatch, retries and resumption
// apply to HTTP as they do to gRPC.
#ifndef SERVER_HTTP_LOCAL_SERVICES_H_
#define SERVER_HTTP_LOCAL_SERVICES_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Thread-safe. Must outlive its calls: AwaitNoCalls.
class LocalServices {
 public:
  // Counts a call until destroyed. Move-only.
  class LiveCall {
   public:
    explicit LiveCall(LocalServices& services) : services_(&services) { services.Count(1); }
    LiveCall(LiveCall&& other) noexcept : services_(std::exchange(other.services_, nullptr)) {}
    LiveCall& operator=(LiveCall&&) = delete;
    ~LiveCall() {
      if (services_ != nullptr) services_->Count(-1);
    }

   private:
    LocalServices* services_;
  };

  // `ready`: whether a request would find a worker; from any thread.
  LocalServices(std::shared_ptr<grpc::Channel> channel, std::function<bool()> ready)
      : inference_(v1::InferenceService::NewStub(channel)),
        control_(v1::ControlService::NewStub(channel)),
        ready_(std::move(ready)) {}

  v1::InferenceService::Stub& inference() { return *inference_; }
  v1::ControlService::Stub& control() { return *control_; }
  bool ready() const { return ready_(); }

  // Blocks until every call has ended.
  void AwaitNoCalls() {
    const MutexLock lock(mutex_);
    while (num_calls_ > 0) ended_.Wait(mutex_);
  }

 private:
  void Count(int change) {
    const MutexLock lock(mutex_);
    num_calls_ += change;
    // Within the lock: who waits may destroy this as soon as it has the lock.
    if (num_calls_ == 0) ended_.SignalAll();
  }

  const std::unique_ptr<v1::InferenceService::Stub> inference_;
  const std::unique_ptr<v1::ControlService::Stub> control_;
  const std::function<bool()> ready_;

  Mutex mutex_;
  Condition ended_;
  int num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_LOCAL_SERVICES_H_
