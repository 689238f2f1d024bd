// A worker that answers from a script, behind a real gRPC server on a free port.
#ifndef TESTS_UNIT_SERVER_FAKE_WORKER_H_
#define TESTS_UNIT_SERVER_FAKE_WORKER_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "common/base/mutex.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Sends PromptInfo, `num_tokens` deltas of one token (10, 11, ...), then Finish, or ends early as
// told; goes on where a resumed request stands. Fields are set before the first call.
class FakeWorker {
 public:
  FakeWorker() : inference_(*this), control_(*this) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&inference_);
    builder.RegisterService(&control_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeWorker() { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }

  std::atomic<bool> ready = true;
  std::atomic<uint32_t> running = 0;
  std::atomic<int> num_tokens = 3;
  // A status other than OK ends the stream after this many messages.
  std::atomic<int> fail_after_messages = -1;
  grpc::Status failure;
  // After the Finish.
  std::atomic<bool> fail_at_end = false;
  // As a worker that died: from its failure on it says that it is not ready.
  std::atomic<bool> unready_when_failing = false;
  // Instead of finishing, waits until the call is cancelled.
  std::atomic<bool> hang = false;

  std::atomic<int> calls = 0;
  absl::Notification cancelled;

  std::string last_request_id() const {
    const MutexLock lock(mutex_);
    return last_request_id_;
  }
  void set_last_request_id(const std::string& id) {
    const MutexLock lock(mutex_);
    last_request_id_ = id;
  }
  v1::GenerateStreamRequest last_request() const {
    const MutexLock lock(mutex_);
    return last_request_;
  }
  // Of the last GenerateStream; empty when it had no such key.
  std::string last_metadata(const std::string& key) const {
    const MutexLock lock(mutex_);
    const auto found = last_metadata_.find(key);
    return found == last_metadata_.end() ? "" : found->second;
  }

 private:
  void NoteCancelled() {
    const MutexLock lock(mutex_);
    if (!cancelled.HasBeenNotified()) cancelled.Notify();
  }
  void Note(const v1::GenerateStreamRequest& request, const grpc::ServerContext& context) {
    const MutexLock lock(mutex_);
    last_metadata_.clear();
    for (const auto& [key, value] : context.client_metadata()) {
      last_metadata_.emplace(std::string(key.data(), key.size()),
                             std::string(value.data(), value.size()));
    }
    last_request_ = request;
    last_request_id_ = request.request_id();
  }

  class Inference final : public v1::InferenceService::Service {
   public:
    explicit Inference(FakeWorker& worker) : worker_(worker) {}

    grpc::Status GenerateStream(grpc::ServerContext* context,
                                const v1::GenerateStreamRequest* request,
                                grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
      ++worker_.calls;
      worker_.Note(*request, *context);
      int sent = 0;
      const auto send = [&](const v1::GenerateStreamResponse& response) {
        if (sent == worker_.fail_after_messages) {
          if (worker_.unready_when_failing) worker_.ready = false;
          return false;
        }
        ++sent;
        if (writer->Write(response)) return true;
        worker_.NoteCancelled();
        return false;
      };
      v1::GenerateStreamResponse response;
      response.mutable_prompt_info()->set_request_id(request->request_id());
      if (!send(response)) return worker_.failure;
      const int first = request->resume().sequences().empty()
                            ? 0
                            : request->resume().sequences(0).generated_ids_size();
      for (int i = first; i < worker_.num_tokens; ++i) {
        response.mutable_delta()->Clear();
        response.mutable_delta()->add_token_ids(static_cast<uint32_t>(10 + i));
        if (!send(response)) return worker_.failure;
      }
      if (worker_.hang) return HangUntilCancelled(context);
      response.mutable_finish()->set_finish_reason(v1::FINISH_REASON_LENGTH);
      response.mutable_finish()->mutable_usage()->set_completion_tokens(
          static_cast<uint32_t>(worker_.num_tokens));
      if (!send(response) || worker_.fail_at_end) return worker_.failure;
      return grpc::Status::OK;
    }

    grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                          v1::GenerateResponse* response) override {
      ++worker_.calls;
      {
        const MutexLock lock(worker_.mutex_);
        worker_.last_request_id_ = request->request_id();
      }
      if (worker_.fail_after_messages == 0) {
        context->AddTrailingMetadata("grpc-retry-pushback-ms", "250");
        return worker_.failure;
      }
      if (worker_.hang) return HangUntilCancelled(context);
      response->mutable_prompt_info()->set_request_id(request->request_id());
      response->add_sequences()->mutable_output()->add_token_ids(10);
      return grpc::Status::OK;
    }

    grpc::Status Tokenize(grpc::ServerContext* /*context*/, const v1::TokenizeRequest* request,
                          v1::TokenizeResponse* response) override {
      response->add_token_ids(static_cast<uint32_t>(request->text().size()));
      return grpc::Status::OK;
    }

   private:
    grpc::Status HangUntilCancelled(grpc::ServerContext* context) {
      while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      worker_.NoteCancelled();
      return grpc::Status::CANCELLED;
    }

    FakeWorker& worker_;
  };

  class Control final : public v1::ControlService::Service {
   public:
    explicit Control(FakeWorker& worker) : worker_(worker) {}

    grpc::Status GetLoads(grpc::ServerContext* /*context*/, const v1::GetLoadsRequest* /*request*/,
                          v1::GetLoadsResponse* response) override {
      v1::WorkerLoad& load = *response->add_workers();
      load.set_ready(worker_.ready);
      load.set_running_sequences(worker_.running);
      return grpc::Status::OK;
    }

    grpc::Status Abort(grpc::ServerContext* /*context*/, const v1::AbortRequest* request,
                       v1::AbortResponse* response) override {
      for (const std::string& id : request->request_ids()) {
        if (id == worker_.last_request_id()) response->add_aborted_request_ids(id);
      }
      return grpc::Status::OK;
    }

    grpc::Status GetExpertCacheStats(grpc::ServerContext* /*context*/,
                                     const v1::GetExpertCacheStatsRequest* /*request*/,
                                     v1::GetExpertCacheStatsResponse* response) override {
      response->add_workers()->set_segment_name("spearfish-0123456789abcdef");
      return grpc::Status::OK;
    }

   private:
    FakeWorker& worker_;
  };

  mutable Mutex mutex_;
  std::string last_request_id_ ABSL_GUARDED_BY(mutex_);
  v1::GenerateStreamRequest last_request_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> last_metadata_ ABSL_GUARDED_BY(mutex_);
  Inference inference_;
  Control control_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace spearfish::server

#endif  // TESTS_UNIT_SERVER_FAKE_WORKER_H_
