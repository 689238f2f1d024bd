#include "server/api/upstream_status.h"

#include <string>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace spearfish::server {
namespace {

constexpr char kPushbackKey[] = "grpc-retry-pushback-ms";

grpc::Status WithDetail(grpc::StatusCode code, const std::string& message,
                        const google::protobuf::Message& detail) {
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  details.add_details()->PackFrom(detail);
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace

bool IsWorkerLost(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:  // by a worker whose grace period is over
      return true;
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
      // What gRPC says of a connection that broke at an unlucky moment.
      return absl::StrContains(status.error_message(), "Stream removed") ||
             absl::StrContains(status.error_message(), "RST_STREAM");
    default:
      return false;
  }
}

bool IsWorkersFault(const grpc::Status& status) {
  return status.error_code() != grpc::StatusCode::CANCELLED;
}

bool MeetsItself(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::ALREADY_EXISTS;
}

bool IsRefusedForNow(const grpc::Status& status) {
  return MeetsItself(status) || status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
}

grpc::Status LostBeforeBegin(const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return status;
  return {grpc::StatusCode::UNAVAILABLE, "worker lost before the first token: " +
                                             status.error_message() + "; send the request again"};
}

grpc::Status WorkerLost(const grpc::Status& status, uint64_t tokens_delivered) {
  const std::string message = "worker lost after " + std::to_string(tokens_delivered) +
                              " tokens: " + status.error_message() + "; send the request again";
  google::rpc::ErrorInfo info;
  info.set_reason("WORKER_LOST");
  info.set_domain("spearfish.v1");
  (*info.mutable_metadata())["tokens_delivered"] = std::to_string(tokens_delivered);
  return WithDetail(grpc::StatusCode::UNAVAILABLE, message, info);
}

Rejection ToRejection(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kQueueFull:
      return Rejection::kQueueFull;
    case RefusalReason::kClientLimit:
      return Rejection::kClientLimit;
    case RefusalReason::kTooLate:
      return Rejection::kTooLate;
    case RefusalReason::kDisplaced:
      return Rejection::kDisplaced;
    case RefusalReason::kNoWorker:
      return Rejection::kNoWorker;
    case RefusalReason::kAborted:
      return Rejection::kAborted;
  }
  return Rejection::kQueueFull;
}

grpc::Status Refused(const Refusal& refusal, grpc::ServerContextBase& context) {
  if (refusal.reason == RefusalReason::kAborted) {
    return {grpc::StatusCode::ABORTED, refusal.message};
  }
  if (refusal.reason == RefusalReason::kNoWorker) {
    return {grpc::StatusCode::UNAVAILABLE, refusal.message};
  }
  // Apart from each other, so that they do not come back together.
  thread_local absl::BitGen random;
  const int64_t delay_ms =
      absl::ToInt64Milliseconds(refusal.retry_after * absl::Uniform<double>(random, 1.0, 1.5));
  context.AddTrailingMetadata(kPushbackKey, std::to_string(delay_ms));
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(delay_ms / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay_ms % 1000 * 1000000));
  return WithDetail(grpc::StatusCode::RESOURCE_EXHAUSTED, refusal.message, info);
}

grpc::Status NoWorker(const absl::Status& status) {
  return {grpc::StatusCode::UNAVAILABLE, std::string(status.message())};
}

void CopyPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to) {
  const auto& trailers = from.GetServerTrailingMetadata();
  const auto found = trailers.find(kPushbackKey);
  if (found == trailers.end()) return;
  to.AddTrailingMetadata(kPushbackKey, std::string(found->second.data(), found->second.size()));
}

}  // namespace spearfish::server
