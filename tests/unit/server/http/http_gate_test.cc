#include "server/http/http_gate.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/token_file.h"
#include "tests/unit/rpc/one_token.h"

namespace spearfish::server {
namespace {

using Certificates = HttpGate::Certificates;

using tests::kToken;
using tests::OneToken;

HttpRequest From(std::vector<std::string> names, std::string authorization = "") {
  HttpRequest request;
  request.authorization = std::move(authorization);
  request.peer = "ipv4:10.0.0.1";
  request.certificate_names = std::move(names);
  return request;
}

TEST(HttpGate, CountsByTokenThenCertificateThenHost) {
  const HttpGate open(std::make_shared<CallGate>(nullptr, std::vector<std::string>()),
                      Certificates::kVerified);
  EXPECT_EQ(*open.CallerOf(From({})), "ipv4:10.0.0.1");
  EXPECT_EQ(*open.CallerOf(From({"alice.example", "alice"})), "id:alice.example");
  EXPECT_EQ(*open.CallerOf(From({"al\nice"})), "id:al?ice");
  const HttpGate gate(std::make_shared<CallGate>(OneToken(), std::vector<std::string>()),
                      Certificates::kVerified);
  EXPECT_EQ(*gate.CallerOf(From({"alice"}, std::string("Bearer ") + kToken)), "token:team");
}

TEST(HttpGate, ACertificateIsNoToken) {
  const HttpGate gate(std::make_shared<CallGate>(OneToken(), std::vector<std::string>()),
                      Certificates::kVerified);
  for (const char* header : {"", "Bearer", "Bearer wrong-wrong-wrong", kToken}) {
    EXPECT_TRUE(absl::IsUnauthenticated(gate.CallerOf(From({"alice"}, header)).status()));
  }
}

TEST(HttpGate, WantsAnAllowedNameOfCertificates) {
  const auto shared = std::make_shared<CallGate>(nullptr, std::vector<std::string>{"alice"});
  const HttpGate gate(shared, Certificates::kVerified);
  EXPECT_TRUE(gate.CheckClient(From({"host.example", "alice"})).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(gate.CheckClient(From({"alice2"}))));
  EXPECT_TRUE(absl::IsPermissionDenied(gate.CheckClient(From({}))));
  EXPECT_TRUE(HttpGate(shared, Certificates::kNone).CheckClient(From({})).ok());
}

}  // namespace
}  // namespace spearfish::server
