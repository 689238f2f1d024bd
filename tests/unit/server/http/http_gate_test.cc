#include "server/http/http_gate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/token_file.h"
#include "tests/support/temp_dir.h"

namespace spearfish::server {
namespace {

using Certificates = HttpGate::Certificates;

constexpr char kToken[] = "0123456789abcdef";

std::unique_ptr<TokenFile> OneToken() {
  const tests::TempDir folder;
  const std::string path = folder.File("tokens");
  std::ofstream(path) << "team " << kToken;
  chmod(path.c_str(), 0600);
  auto tokens = TokenFile::Open({.path = path, .look_interval = absl::InfiniteDuration()});
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return *std::move(tokens);
}

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
