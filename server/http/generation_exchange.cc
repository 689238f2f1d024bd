#include "server/http/generation_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/response_json.h"

namespace spearfish::server {
namespace {

// Prompts of one request that are generated at once; the rest follows as these end.
constexpr size_t kMostCallsAtOnce = 32;

}  // namespace

GenerationExchange::GenerationExchange(LocalServices& services, GenerationPlan plan,
                                       std::unique_ptr<ResponseEncoder> encoder,
                                       std::shared_ptr<HttpReply> reply)
    : services_(services),
      plan_(std::move(plan)),
      encoder_(std::move(encoder)),
      reply_(std::move(reply)) {}

std::shared_ptr<GenerationExchange> GenerationExchange::Start(
    LocalServices& services, GenerationPlan plan, std::unique_ptr<ResponseEncoder> encoder,
    std::shared_ptr<HttpReply> reply) {
  std::shared_ptr<GenerationExchange> exchange(
      new GenerationExchange(services, std::move(plan), std::move(encoder), std::move(reply)));
  exchange->StartCalls();
  return exchange;
}

void GenerationExchange::StartCalls() {
  while (num_running_ < kMostCallsAtOnce && calls_.size() < plan_.requests.size()) {
    const size_t number = calls_.size();
    ++num_running_;
    calls_.push_back(GenerateCall::Start(services_, plan_.identity,
                                         std::move(plan_.requests[number]), number, reply_,
                                         shared_from_this()));
  }
}

void GenerationExchange::OnMessage(size_t number, const v1::GenerateStreamResponse& message) {
  if (over_) {
    ReadNext(number);
    return;
  }
  absl::StrAppend(&events_, encoder_->Add(number, message));
  readers_.push_back(number);
  Flush();
}

void GenerationExchange::OnEnd(size_t number, const grpc::Status& status,
                               absl::Duration retry_after) {
  calls_[number].reset();
  --num_running_;
  if (over_) return;
  if (!status.ok()) {
    Fail(ErrorOf(status, retry_after));
    return;
  }
  StartCalls();
  if (num_running_ == 0) Complete();
}

void GenerationExchange::Complete() {
  over_ = true;
  if (plan_.stream) {
    absl::StrAppend(&events_, encoder_->End(), kDoneEvent);
    Flush();
  } else {
    reply_->Respond({.body = encoder_->End(), .headers = std::move(plan_.headers)});
  }
}

void GenerationExchange::Fail(const HttpError& error) {
  over_ = true;
  if (begun_) {
    absl::StrAppend(&events_, "data: ", ErrorBody(error), "\n\n", kDoneEvent);
    Flush();
  } else {
    HttpResponse response = ErrorResponse(error);
    response.headers.insert(response.headers.end(), plan_.headers.begin(), plan_.headers.end());
    reply_->Respond(std::move(response));
  }
  CancelCalls();
}

void GenerationExchange::ClientGone() {
  gone_ = true;
  over_ = true;
  CancelCalls();
  ReadAll(readers_);
  ReadAll(writing_readers_);
}

void GenerationExchange::CancelCalls() {
  for (const std::shared_ptr<GenerateCall>& call : calls_) {
    if (call != nullptr) call->Cancel();
  }
}

void GenerationExchange::Flush() {
  if (writing_ || gone_) return;
  if (events_.empty()) {
    ReadAll(readers_);
    return;
  }
  if (!begun_) reply_->BeginEvents(std::move(plan_.headers));
  begun_ = true;
  writing_ = true;
  writing_readers_ = std::exchange(readers_, {});
  const auto last = over_ ? HttpReply::Last::kEnd : HttpReply::Last::kNo;
  reply_->WriteEvents(std::exchange(events_, {}), last,
                      [self = shared_from_this()] { self->Written(); });
}

void GenerationExchange::Written() {
  writing_ = false;
  ReadAll(writing_readers_);
  Flush();
}

void GenerationExchange::ReadAll(std::vector<size_t>& readers) {
  for (const size_t number : std::exchange(readers, {})) ReadNext(number);
}

void GenerationExchange::ReadNext(size_t number) {
  if (calls_[number] != nullptr) calls_[number]->Read();
}

}  // namespace spearfish::server
