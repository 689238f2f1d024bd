#include "worker/rpc/status_codes.h"

#include <gtest/gtest.h>

#include <string>

#include "google/rpc/status.pb.h"

namespace spearfish::worker {
namespace {

TEST(StatusCodes, EveryCodeKeepsItsNumberAndText) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(StatusCodes, OnlyExhaustionCarriesDetails) {
  EXPECT_TRUE(ToGrpcStatus(absl::UnavailableError("x")).error_details().empty());
  google::rpc::Status details;
  ASSERT_TRUE(
      details.ParseFromString(ToGrpcStatus(absl::ResourceExhaustedError("x")).error_details()));
  EXPECT_EQ(details.code(), 8);
  EXPECT_EQ(details.message(), "x");
}

TEST(StatusCodes, LongTextsAreCut) {
  const grpc::Status status = ToGrpcStatus(absl::InternalError(std::string(100000, 'a')));
  EXPECT_LT(status.error_message().size(), 3000u);
}

}  // namespace
}  // namespace spearfish::worker
