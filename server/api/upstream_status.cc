#include "server/api/upstream_status.h"

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace spearfish::server {
namespace {

constexpr char kPushbackKey[] = "grpc-retry-pushback-ms";

}  // namespace

bool ShouldTryAnotherWorker(const grpc::Status& status, uint64_t messages_forwarded) {
  return messages_forwarded == 0 && status.error_code() == grpc::StatusCode::UNAVAILABLE;
}

grpc::Status StatusAfterFirstMessage(const grpc::Status& status, uint64_t tokens_forwarded) {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status;
  const std::string message = "worker lost after " + std::to_string(tokens_forwarded) +
                              " tokens: " + status.error_message() + "; send the request again";
  google::rpc::ErrorInfo info;
  info.set_reason("WORKER_LOST");
  info.set_domain("spearfish.v1");
  (*info.mutable_metadata())["tokens_delivered"] = std::to_string(tokens_forwarded);
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::UNAVAILABLE);
  details.set_message(message);
  details.add_details()->PackFrom(info);
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, message, details.SerializeAsString());
}

void CopyPushback(const grpc::ClientContext& from, grpc::ServerContextBase& to) {
  const auto& trailers = from.GetServerTrailingMetadata();
  const auto found = trailers.find(kPushbackKey);
  if (found == trailers.end()) return;
  to.AddTrailingMetadata(kPushbackKey, std::string(found->second.data(), found->second.size()));
}

}  // namespace spearfish::server
