#include "common/rpc/call_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/unit/rpc/one_token.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using tests::kToken;
using tests::OneToken;

constexpr char kPath[] = "/spearfish.v1.InferenceService/Generate";

absl::Status WithHeader(CallGate& gate, const std::string& header) {
  return gate.Check({.path = kPath, .authorization = header});
}

TEST(CallGate, LetsAllInWithoutTokensAndNames) {
  CallGate gate(nullptr, {});
  EXPECT_TRUE(gate.lets_all_in());
  EXPECT_TRUE(gate.Check({.path = kPath}).ok());
}

TEST(CallGate, LetsInWhoHasAToken) {
  CallGate gate(OneToken(), {});
  EXPECT_FALSE(gate.lets_all_in());
  EXPECT_TRUE(WithHeader(gate, std::string("Bearer ") + kToken).ok());
  EXPECT_TRUE(WithHeader(gate, std::string("bearer ") + kToken).ok());
}

TEST(CallGate, SaysTheSameWhateverIsWrongWithAToken) {
  CallGate gate(OneToken(), {});
  const absl::Status missing = WithHeader(gate, "");
  EXPECT_EQ(missing.code(), absl::StatusCode::kUnauthenticated);
  for (const char* header : {"Bearer", "Bearer ", "Bearer wrong-wrong-wrong", kToken,
                             "Basic 0123456789abcdef", "Bearer  0123456789abcdef"}) {
    EXPECT_EQ(WithHeader(gate, header), missing) << header;
  }
  EXPECT_THAT(std::string(missing.message()), Not(HasSubstr(kToken)));
}

TEST(CallGate, AsksHealthForNoToken) {
  CallGate gate(OneToken(), {});
  EXPECT_TRUE(gate.Check({.path = "/grpc.health.v1.Health/Check"}).ok());
  for (const char* path : {"/grpc.health.v1.Health/Watch", "/grpc.health.v1.HealthX/Check",
                           "/x/grpc.health.v1.Health/Check", "",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    EXPECT_FALSE(gate.Check({.path = path}).ok()) << path;
  }
}

TEST(CallGate, LetsInCertificatesWithAnAllowedName) {
  CallGate gate(nullptr, {"gateway", "admin"});
  EXPECT_TRUE(gate.Check({.path = kPath, .peer_names = {"host.example", "gateway"}}).ok());
  EXPECT_TRUE(gate.Check({.path = kPath, .peer_names = {"admin"}}).ok());
  EXPECT_EQ(gate.Check({.path = kPath, .peer_names = {"gateway2"}}).code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(gate.Check({.path = "/grpc.health.v1.Health/Check"}).code(),
            absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace spearfish
