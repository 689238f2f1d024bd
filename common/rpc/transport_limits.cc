#include "common/rpc/transport_limits.h"

#include <grpc/impl/codegen/grpc_types.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish {
namespace {

constexpr uint32_t kMaxSeconds = 1000000;
constexpr uint64_t kMaxMessageBytes = std::numeric_limits<int>::max();
constexpr uint32_t kMaxMetadataBytes = 1 << 20;
// Below the 10 s that are allowed: what a client sends every 10 s does not arrive so exactly.
constexpr int kMinPingIntervalMs = 9000;

absl::Status CheckRange(const char* flag, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " is out of range: ", value, "; give ", least, " to ", most));
}

void SetMilliseconds(grpc::ServerBuilder& builder, const char* name, uint32_t seconds) {
  builder.AddChannelArgument(name, static_cast<int>(seconds * 1000));
}

}  // namespace

absl::Status TransportLimits::Validate() const {
  SF_RETURN_IF_ERROR(CheckRange("--max-message-bytes", max_message_bytes, 1, kMaxMessageBytes));
  SF_RETURN_IF_ERROR(
      CheckRange("--max-metadata-bytes", max_metadata_bytes, 1024, kMaxMetadataBytes));
  SF_RETURN_IF_ERROR(CheckRange("--max-streams-per-connection", max_streams_per_connection, 1,
                                std::numeric_limits<int>::max()));
  SF_RETURN_IF_ERROR(CheckRange("--max-connection-age-s", max_connection_age_s, 0, kMaxSeconds));
  SF_RETURN_IF_ERROR(
      CheckRange("--max-connection-age-grace-s", max_connection_age_grace_s, 0, kMaxSeconds));
  SF_RETURN_IF_ERROR(CheckRange("--keepalive-time-s", keepalive_time_s, 1, kMaxSeconds));
  SF_RETURN_IF_ERROR(CheckRange("--keepalive-timeout-s", keepalive_timeout_s, 1, kMaxSeconds));
  return CheckRange("--handshake-timeout-s", handshake_timeout_s, 1, kMaxSeconds);
}

void TransportLimits::ApplyTo(grpc::ServerBuilder& builder) const {
  builder.SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes));
  // gRPC holds a message's size against the limit before it inflates it.
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(max_metadata_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             static_cast<int>(max_streams_per_connection));
  if (max_connection_age_s > 0) {
    SetMilliseconds(builder, GRPC_ARG_MAX_CONNECTION_AGE_MS, max_connection_age_s);
    if (max_connection_age_grace_s > 0) {
      SetMilliseconds(builder, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, max_connection_age_grace_s);
    }
  }
  SetMilliseconds(builder, GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_time_s);
  SetMilliseconds(builder, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_s);
  SetMilliseconds(builder, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, handshake_timeout_s);
  // Both ways: the server pings idle connections, and clients may.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Otherwise the server would stop after two pings on a connection that it sends nothing else on.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
}

}  // namespace spearfish
