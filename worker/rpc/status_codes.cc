#include "worker/rpc/status_codes.h"

#include <grpcpp/support/error_details.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace spearfish::worker {
namespace {

// gRPC sends the message in a header; a client with the default limit of 8 KiB for all metadata
// refuses a longer one and would see neither code nor text.
constexpr size_t kMaxMessageBytes = 2048;

std::string Shortened(absl::string_view message) {
  if (message.size() <= kMaxMessageBytes) return std::string(message);
  size_t end = kMaxMessageBytes;
  while (end > 0 && (message[end] & 0xc0) == 0x80) --end;  // not inside a UTF-8 character
  return absl::StrCat(message.substr(0, end), "...");
}

grpc::Status WithRetryInfo(const std::string& message) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(kRetryDelay));
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  details.set_message(message);
  details.add_details()->PackFrom(retry);
  grpc::Status status;
  grpc::SetErrorDetails(details, &status);
  return status;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = Shortened(status.message());
  if (absl::IsResourceExhausted(status)) return WithRetryInfo(message);
  return {static_cast<grpc::StatusCode>(status.code()), message};
}

grpc::Status FinalStatus(const absl::Status& status, grpc::CallbackServerContext& context) {
  if (absl::IsResourceExhausted(status)) {
    context.AddTrailingMetadata(kRetryPushbackKey,
                                absl::StrCat(absl::ToInt64Milliseconds(kRetryDelay)));
  }
  return ToGrpcStatus(status);
}

}  // namespace spearfish::worker
