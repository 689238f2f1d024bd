#include "tests/bench/feed_server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "spearfish/v1/control.grpc.pb.h"
#include "spearfish/v1/inference.grpc.pb.h"
#include "tests/bench/token_feed.h"

namespace spearfish::tests {
namespace {

constexpr uint32_t kEndlessSequences = 1 << 20;

// Both kinds of stream: one write in flight, the next when its time has come. A stream that was
// cancelled ends at its next time.
template <typename Stream>
void Continue(Stream& stream, Pacer& pacer, absl::Time& due, bool ok) {
  if (!ok) {
    stream.Finish(grpc::Status::CANCELLED);
    return;
  }
  const absl::Duration interval = stream.feed().interval();
  if (interval == absl::ZeroDuration()) {
    stream.Send();
    return;
  }
  due = due == absl::InfinitePast() ? absl::Now() + interval : due + interval;
  pacer.At(due, [&stream] { stream.Send(); });
}

class WorkerStream final : public grpc::ServerWriteReactor<v1::GenerateStreamResponse> {
 public:
  WorkerStream(grpc::CallbackServerContext& context, Pacer& pacer,
               const v1::GenerateStreamRequest& request)
      : context_(context), pacer_(pacer), feed_(request) {
    Send();
  }
  const TokenFeed& feed() const { return feed_; }
  void Send() {
    if (feed_.done() || context_.IsCancelled()) {
      Finish(grpc::Status::OK);
      return;
    }
    feed_.Next(message_);
    StartWrite(&message_);
  }
  void OnWriteDone(bool ok) override { Continue(*this, pacer_, due_, ok); }
  void OnDone() override { delete this; }

 private:
  grpc::CallbackServerContext& context_;
  Pacer& pacer_;
  TokenFeed feed_;
  absl::Time due_ = absl::InfinitePast();
  v1::GenerateStreamResponse message_;
};

class EchoStream final : public grpc::ServerGenericBidiReactor {
 public:
  EchoStream(grpc::GenericCallbackServerContext& context, Pacer& pacer)
      : context_(context), pacer_(pacer) {
    StartRead(&buffer_);
  }
  const TokenFeed& feed() const { return feed_; }
  void OnReadDone(bool ok) override {
    v1::GenerateStreamRequest request;
    grpc::ProtoBufferReader reader(&buffer_);
    if (!ok || !request.ParseFromZeroCopyStream(&reader)) {
      Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no request"));
      return;
    }
    feed_ = TokenFeed(request);
    Send();
  }
  void Send() {
    if (feed_.done() || context_.IsCancelled()) {
      Finish(grpc::Status::OK);
      return;
    }
    feed_.Next(message_);
    const grpc::Slice slice(message_.SerializeAsString());
    buffer_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&buffer_);
  }
  void OnWriteDone(bool ok) override { Continue(*this, pacer_, due_, ok); }
  void OnDone() override { delete this; }

 private:
  grpc::GenericCallbackServerContext& context_;
  Pacer& pacer_;
  TokenFeed feed_;
  absl::Time due_ = absl::InfinitePast();
  v1::GenerateStreamResponse message_;
  grpc::ByteBuffer buffer_;
};

class Inference final : public v1::InferenceService::CallbackService {
 public:
  explicit Inference(Pacer& pacer) : pacer_(pacer) {}
  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) override {
    return new WorkerStream(*context, pacer_, *request);
  }

 private:
  Pacer& pacer_;
};

class Control final : public v1::ControlService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetLoads(grpc::CallbackServerContext* context,
                                     const v1::GetLoadsRequest* /*request*/,
                                     v1::GetLoadsResponse* response) override {
    v1::WorkerLoad& load = *response->add_workers();
    load.set_ready(true);
    load.set_max_running_sequences(kEndlessSequences);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class Echo final : public grpc::CallbackGenericService {
 public:
  explicit Echo(Pacer& pacer) : pacer_(pacer) {}
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new EchoStream(*context, pacer_);
  }

 private:
  Pacer& pacer_;
};

}  // namespace

Pacer::Pacer() : thread_([this] { Run(); }) {}

Pacer::~Pacer() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.SignalAll();
  thread_.join();
}

void Pacer::At(absl::Time due, std::function<void()> what) {
  const MutexLock lock(mutex_);
  const bool first = entries_.empty() || due < entries_.top().first;
  entries_.emplace(due, std::move(what));
  if (first) changed_.SignalAll();
}

void Pacer::Run() {
  while (true) {
    std::function<void()> what;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && (entries_.empty() || entries_.top().first > absl::Now())) {
        changed_.WaitFor(mutex_, entries_.empty() ? absl::InfiniteDuration()
                                                  : entries_.top().first - absl::Now());
      }
      if (stopping_) return;
      what = entries_.top().second;
      entries_.pop();
    }
    what();
  }
}

struct FeedServer::Services {
  explicit Services(Pacer& pacer) : inference(pacer), echo(pacer) {}
  Inference inference;
  Control control;
  Echo echo;
};

FeedServer::FeedServer(Kind kind, Pacer& pacer) : services_(std::make_unique<Services>(pacer)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  if (kind == Kind::kWorker) {
    builder.RegisterService(&services_->inference);
    builder.RegisterService(&services_->control);
  } else {
    builder.RegisterCallbackGenericService(&services_->echo);
  }
  server_ = builder.BuildAndStart();
  SF_CHECK(server_ != nullptr);
  address_ = "127.0.0.1:" + std::to_string(port);
}

FeedServer::~FeedServer() { server_->Shutdown(std::chrono::system_clock::now()); }

}  // namespace spearfish::tests
