// spearfish.v1 that answers from a script.
#ifndef TESTS_UNIT_VLLM_ENGINE_FAKE_SPEARFISH_H_
#define TESTS_UNIT_VLLM_ENGINE_FAKE_SPEARFISH_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/rpc/caller_identity.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::vllm_engine {

// Set once, awaited by anybody.
class Event {
 public:
  void Set() {
    const MutexLock lock(mutex_);
    set_ = true;
    changed_.SignalAll();
  }
  // False when it was not set in time.
  bool Await(absl::Duration patience = absl::Seconds(60)) {
    const absl::Time deadline = absl::Now() + patience;
    const MutexLock lock(mutex_);
    while (!set_ && absl::Now() < deadline) changed_.WaitFor(mutex_, deadline - absl::Now());
    return set_;
  }

 private:
  Mutex mutex_;
  Condition changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

// What reached GenerateStream.
struct SeenCall {
  v1::GenerateStreamRequest request;
  std::string caller;
  std::string authorization;
  bool has_deadline = false;
};

// What a test sets before its calls, and sees after them.
class Script {
 public:
  std::vector<v1::GenerateStreamResponse> events;
  grpc::Status status;
  bool hold = false;  // after the events, until released or cancelled
  Event begun;        // the events have been written
  Event released;
  Event cancelled;
  std::atomic<int> num_written = 0;

  void Note(SeenCall call) {
    const MutexLock lock(mutex_);
    seen_ = std::move(call);
  }
  SeenCall seen() const {
    const MutexLock lock(mutex_);
    return seen_;
  }

 private:
  mutable Mutex mutex_;
  SeenCall seen_ ABSL_GUARDED_BY(mutex_);
};

class FakeInference final : public v1::InferenceService::Service {
 public:
  explicit FakeInference(Script& script) : script_(script) {}

  grpc::Status GenerateStream(grpc::ServerContext* context,
                              const v1::GenerateStreamRequest* request,
                              grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
    Note(*context, *request);
    for (const v1::GenerateStreamResponse& event : script_.events) {
      if (!writer->Write(event)) break;
      ++script_.num_written;
    }
    script_.begun.Set();
    if (script_.hold && !HoldWasReleased(*context)) return grpc::Status::CANCELLED;
    if (!script_.status.ok()) context->AddTrailingMetadata("grpc-retry-pushback-ms", "250");
    return script_.status;
  }

  // A token for each byte.
  grpc::Status Tokenize(grpc::ServerContext* /*context*/, const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override {
    for (const char byte : request->text()) {
      response->add_token_ids(static_cast<unsigned char>(byte));
    }
    return grpc::Status::OK;
  }

 private:
  void Note(const grpc::ServerContext& context, const v1::GenerateStreamRequest& request) {
    SeenCall call;
    call.request = request;
    call.caller = CallerOf(context);
    const auto found = context.client_metadata().find("authorization");
    if (found != context.client_metadata().end()) {
      call.authorization.assign(found->second.data(), found->second.size());
    }
    call.has_deadline = context.deadline() != std::chrono::system_clock::time_point::max();
    script_.Note(std::move(call));
  }

  // A synchronous service is told of a cancellation only when it asks.
  bool HoldWasReleased(grpc::ServerContext& context) {
    while (!context.IsCancelled()) {
      if (script_.released.Await(absl::Milliseconds(1))) return true;
    }
    script_.cancelled.Set();
    return false;
  }

  Script& script_;
};

class FakeControl final : public v1::ControlService::Service {
 public:
  grpc::Status Abort(grpc::ServerContext* /*context*/, const v1::AbortRequest* request,
                     v1::AbortResponse* response) override {
    {
      const MutexLock lock(mutex_);
      aborted_ = *request;
    }
    response->add_aborted_request_ids("live");
    return grpc::Status::OK;
  }
  grpc::Status GetModelInfo(grpc::ServerContext* /*context*/, const v1::GetModelInfoRequest*,
                            v1::GetModelInfoResponse* response) override {
    response->set_served_model_name("qwen");
    return model_status;
  }
  grpc::Status GetServerInfo(grpc::ServerContext* /*context*/, const v1::GetServerInfoRequest*,
                             v1::GetServerInfoResponse* response) override {
    response->set_role(v1::SERVER_ROLE_WORKER);
    response->set_uptime_seconds(3);
    return grpc::Status::OK;
  }
  grpc::Status GetLoads(grpc::ServerContext* /*context*/, const v1::GetLoadsRequest*,
                        v1::GetLoadsResponse* response) override {
    v1::WorkerLoad& load = *response->add_workers();
    load.set_ready(true);
    load.set_running_sequences(2);
    return grpc::Status::OK;
  }

  v1::AbortRequest aborted() const {
    const MutexLock lock(mutex_);
    return aborted_;
  }
  grpc::Status model_status;

 private:
  mutable Mutex mutex_;
  v1::AbortRequest aborted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spearfish::vllm_engine

#endif  // TESTS_UNIT_VLLM_ENGINE_FAKE_SPEARFISH_H_
