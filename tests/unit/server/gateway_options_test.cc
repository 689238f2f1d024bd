#include "server/gateway_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace spearfish::server {
namespace {

using ::testing::HasSubstr;

constexpr char kEverywhere[] = "0.0.0.0:8000";

GatewayOptions Http(const std::string& listen, bool tls, bool plain_text) {
  GatewayOptions options{.workers = {"127.0.0.1:1"}};
  options.http.listen = listen;
  options.http.plain_text = plain_text;
  if (tls) options.listener.tls_certificate = options.listener.tls_key = "/file";
  return options;
}

std::string Refusal(const GatewayOptions& options) {
  return std::string(options.Validate().message());
}

TEST(GatewayOptions, GivesHttpTheTlsOfThePort) {
  EXPECT_TRUE(Http(kEverywhere, true, false).EncryptsHttp());
  EXPECT_FALSE(Http(kEverywhere, true, true).EncryptsHttp());
  EXPECT_FALSE(Http(kEverywhere, false, false).EncryptsHttp());
}

TEST(GatewayOptions, WantsTlsForTokensOverHttpOnANetwork) {
  for (const auto& [tls, plain_text] : {std::pair{false, false}, {true, true}}) {
    GatewayOptions options = Http(kEverywhere, tls, plain_text);
    EXPECT_EQ(Refusal(options), "");
    options.listener.auth_tokens_file = "/tokens";
    EXPECT_THAT(Refusal(options), HasSubstr("without --http-plain-text"));
    options.listener.insecure_tokens = true;
    EXPECT_EQ(Refusal(options), "");
    options.listener.insecure_tokens = false;
    for (const char* local : {"127.0.0.1:0", "localhost:80", "[::1]:80"}) {
      options.http.listen = local;
      EXPECT_EQ(Refusal(options), "") << local;
    }
  }
  GatewayOptions options = Http(kEverywhere, true, false);
  options.listener.auth_tokens_file = "/tokens";
  EXPECT_EQ(Refusal(options), "");
}

TEST(GatewayOptions, WantsHttpToAskForCertificates) {
  GatewayOptions options = Http(kEverywhere, true, true);
  options.listener.tls_client_authorities = "/authorities";
  EXPECT_THAT(Refusal(options), HasSubstr("asks for no client certificate"));
  options.http.plain_text = false;
  EXPECT_EQ(Refusal(options), "");
  options.http.plain_text = true;
  options.http.listen = "127.0.0.1:8000";
  EXPECT_EQ(Refusal(options), "");
}

}  // namespace
}  // namespace spearfish::server
