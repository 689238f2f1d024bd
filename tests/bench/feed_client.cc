#include "tests/bench/feed_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "server/cli/client.h"
#include "tests/bench/token_feed.h"

namespace spearfish::tests {

class FeedClient::Stream final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(FeedClient& client, const FeedLoad& load) : client_(client) {
    const grpc::Slice slice(FeedRequest(load.num_tokens, load.interval).SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
  }

  void Start(grpc::GenericStub& stub) {
    stub.PrepareBidiStreamingCall(&context_, "/spearfish.v1.InferenceService/GenerateStream",
                                  grpc::StubOptions(), this);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&buffer_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    grpc::ProtoBufferReader reader(&buffer_);
    if (message_.ParseFromZeroCopyStream(&reader)) {
      if (const uint64_t sent_at = SentAt(message_)) Note(sent_at);
    }
    StartRead(&buffer_);
  }
  void OnDone(const grpc::Status& status) override {
    ok_ = status.ok();
    Began();
    const MutexLock lock(client_.mutex_);
    ++client_.num_ended_;
    client_.changed_.SignalAll();  // under the lock: it may be the last that the client waits for
  }

  bool ok() const { return ok_; }
  const std::vector<float>& microseconds() const { return microseconds_; }

 private:
  void Note(uint64_t sent_at) {
    microseconds_.push_back(static_cast<float>(MonotonicNanoseconds() - sent_at) * 1e-3f);
    Began();
  }
  void Began() {
    if (std::exchange(began_, true)) return;
    const MutexLock lock(client_.mutex_);
    ++client_.num_begun_;
    client_.changed_.SignalAll();
  }

  FeedClient& client_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer buffer_;
  v1::GenerateStreamResponse message_;
  std::vector<float> microseconds_;
  bool began_ = false;
  bool ok_ = false;
};

FeedClient::FeedClient(const std::string& address, uint32_t num_connections) {
  for (uint32_t i = 0; i < num_connections; ++i) {
    auto channel = server::cli::Connect({.endpoint = address}, server::cli::Connections::kApart);
    SF_CHECK_OK(channel.status());
    stubs_.push_back(std::make_unique<grpc::GenericStub>(*std::move(channel)));
  }
}

FeedClient::~FeedClient() = default;

void FeedClient::Open(const FeedLoad& load) {
  {
    const MutexLock lock(mutex_);
    num_begun_ = num_ended_ = 0;
  }
  begin_ = absl::Now();
  streams_.clear();
  for (uint32_t i = 0; i < load.num_streams; ++i) {
    streams_.push_back(std::make_unique<Stream>(*this, load));
    streams_.back()->Start(*stubs_[i % stubs_.size()]);
  }
  const MutexLock lock(mutex_);
  while (num_begun_ < streams_.size()) changed_.Wait(mutex_);
}

FeedResult FeedClient::Run(const FeedLoad& load) {
  Open(load);
  {
    const MutexLock lock(mutex_);
    while (num_ended_ < streams_.size()) changed_.Wait(mutex_);
  }
  return End();
}

FeedResult FeedClient::End() {
  FeedResult result{.took = absl::Now() - begin_};
  for (const auto& stream : streams_) stream->Cancel();
  {
    const MutexLock lock(mutex_);
    while (num_ended_ < streams_.size()) changed_.Wait(mutex_);
  }
  for (const auto& stream : streams_) {
    const std::vector<float>& times = stream->microseconds();
    result.num_tokens += times.size();
    if (!stream->ok()) ++result.num_failed;
    result.microseconds.insert(result.microseconds.end(), times.begin(), times.end());
  }
  streams_.clear();
  return result;
}

}  // namespace spearfish::tests
