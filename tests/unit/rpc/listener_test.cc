#include "common/rpc/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "common/rpc/channel_security.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_authority.h"
#include "tests/unit/rpc/port_server.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;
using tests::TestAuthority;
using tests::TestIdentity;

constexpr std::chrono::seconds kPatience{60};

// A server with TLS on its files, and what its clients have.
class ListenerTest : public ::testing::Test {
 protected:
  ListenerTest() { Serve(authority_.Issue({})); }

  void Put(const std::string& name, const std::string& text) {
    std::ofstream(folder_.File("fresh"), std::ios::binary) << text;
    ASSERT_EQ(chmod(folder_.File("fresh").c_str(), 0600), 0);
    std::filesystem::rename(folder_.File("fresh"), folder_.File(name));
  }
  void Serve(const TestIdentity& identity) {
    Put("key", identity.key);
    Put("cert", identity.certificate);
  }
  ListenerOptions Tls() const {
    return {.tls_certificate = folder_.File("cert"), .tls_key = folder_.File("key")};
  }
  ListenerOptions MutualTls() {
    Put("clients", clients_.certificate());
    ListenerOptions options = Tls();
    options.tls_client_authorities = folder_.File("clients");
    return options;
  }
  static std::shared_ptr<grpc::ChannelCredentials> Trusting(const TestAuthority& authority,
                                                            const TestIdentity& own = {}) {
    return grpc::SslCredentials({.pem_root_certs = authority.certificate(),
                                 .pem_private_key = own.key,
                                 .pem_cert_chain = own.certificate});
  }
  static absl::Status CreateStatus(const ListenerOptions& options,
                                   const std::string& address = "127.0.0.1:0") {
    return Listener::Create(address, options).status();
  }

  tests::TempDir folder_;
  const TestAuthority authority_{"server authority"};
  const TestAuthority clients_{"client authority"};
};

TEST_F(ListenerTest, ServesTlsToThoseWhoTrustIt) {
  const PortServer server(Tls());
  EXPECT_TRUE(AskCaller(server.Reach(Trusting(authority_))).status.ok());
  EXPECT_FALSE(AskCaller(server.Connect(Trusting(clients_))).status.ok());
  EXPECT_FALSE(AskCaller(server.Connect()).status.ok());
}

TEST_F(ListenerTest, AsksForClientsCertificates) {
  const PortServer server(MutualTls());
  const TestIdentity client = clients_.Issue({.common_name = "alice", .dns_names = {}});
  EXPECT_EQ(AskCaller(server.Reach(Trusting(authority_, client))).caller, "id:alice");
  const TestIdentity stranger = authority_.Issue({.common_name = "alice"});
  EXPECT_FALSE(AskCaller(server.Connect(Trusting(authority_, stranger))).status.ok());
  EXPECT_FALSE(AskCaller(server.Connect(Trusting(authority_))).status.ok());
}

TEST_F(ListenerTest, AdmitsOnlyAllowedNames) {
  ListenerOptions options = MutualTls();
  options.tls_allowed_clients = {"gateway", "gateway.example"};
  const PortServer server(options);
  const auto code_of = [&](const tests::TestIdentityOptions& client) {
    const TestIdentity identity = clients_.Issue(client);
    return AskCaller(server.Reach(Trusting(authority_, identity))).status.error_code();
  };
  EXPECT_EQ(code_of({.common_name = "gateway", .dns_names = {}}), grpc::StatusCode::OK);
  EXPECT_EQ(code_of({.common_name = "a", .dns_names = {"b", "gateway.example"}}),
            grpc::StatusCode::OK);
  EXPECT_EQ(code_of({.common_name = "alice"}), grpc::StatusCode::PERMISSION_DENIED);
}

// Asks over new connections until the answer is as wanted.
bool Eventually(const PortServer& server, const std::shared_ptr<grpc::ChannelCredentials>& with,
                bool wanted) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (AskCaller(server.Connect(with)).status.ok() == wanted) return true;
    std::this_thread::yield();
  }
  return false;
}

TEST_F(ListenerTest, ShowsANewCertificateToNewConnections) {
  const PortServer server(Tls());
  const auto before = server.Reach(Trusting(authority_));
  ASSERT_TRUE(AskCaller(before).status.ok());
  const TestAuthority successor("successor");
  Serve(successor.Issue({}));
  EXPECT_TRUE(Eventually(server, Trusting(successor), true));
  EXPECT_TRUE(Eventually(server, Trusting(authority_), false));
  EXPECT_TRUE(AskCaller(before).status.ok());  // still the old connection
}

TEST_F(ListenerTest, FollowsTheAuthoritiesOfClients) {
  const PortServer server(MutualTls());
  const TestAuthority successor("successor");
  const TestIdentity client = successor.Issue({.common_name = "bob"});
  EXPECT_FALSE(AskCaller(server.Connect(Trusting(authority_, client))).status.ok());
  Put("clients", successor.certificate());
  EXPECT_TRUE(Eventually(server, Trusting(authority_, client), true));
}

TEST_F(ListenerTest, RefusesBadFilesNamingFlagAndFile) {
  const auto expect_refused = [&](const ListenerOptions& options, const std::string& flag,
                                  const std::string& why) {
    const std::string message(CreateStatus(options).message());
    EXPECT_THAT(message, HasSubstr(flag));
    EXPECT_THAT(message, HasSubstr(why));
  };
  ListenerOptions options = Tls();
  options.tls_key = folder_.File("missing");
  expect_refused(options, "--tls-key", "missing");
  options.tls_key.clear();
  expect_refused(options, "--tls-cert without --tls-key", "give --tls-key");
  Put("key", authority_.Issue({}).key);
  expect_refused(Tls(), "--tls-key: " + folder_.File("key"), "does not belong");
  Serve(authority_.Issue({.valid_until = -absl::Minutes(1)}));
  expect_refused(Tls(), "--tls-cert: " + folder_.File("cert"), "expired");
  Serve(authority_.Issue({}));
  options = MutualTls();
  Put("clients", "garbage");
  expect_refused(options, "--tls-client-ca: " + folder_.File("clients"), "no PEM certificate");
}

TEST_F(ListenerTest, RefusesFlagsThatProtectNothing) {
  ListenerOptions names = Tls();
  names.tls_allowed_clients = {"gateway"};
  EXPECT_THAT(std::string(CreateStatus(names).message()), HasSubstr("--tls-client-ca"));
  ListenerOptions authorities;
  authorities.tls_client_authorities = folder_.File("cert");
  EXPECT_THAT(std::string(CreateStatus(authorities).message()), HasSubstr("--tls-cert"));
}

TEST_F(ListenerTest, WantsTlsForTokensOnANetwork) {
  Put("tokens", "0123456789abcdef");
  ListenerOptions options;
  options.auth_tokens_file = folder_.File("tokens");
  for (const char* address : {"0.0.0.0:0", "[::]:0", "10.0.0.1:0", "127.example.org:0"}) {
    EXPECT_THAT(std::string(CreateStatus(options, address).message()),
                HasSubstr("--insecure-tokens"));
  }
  for (const char* address : {"127.0.0.1:0", "127.1.2.3:0", "localhost:0", "[::1]:0"}) {
    EXPECT_TRUE(CreateStatus(options, address).ok()) << address;
  }
  EXPECT_TRUE(CreateStatus(options, "unix:" + folder_.File("socket")).ok());
  options.insecure_tokens = true;
  EXPECT_TRUE(CreateStatus(options, "0.0.0.0:0").ok());
}

TEST_F(ListenerTest, WantsATokenForEveryMethod) {
  Put("tokens", "0123456789abcdef");
  ListenerOptions options;
  options.auth_tokens_file = folder_.File("tokens");
  const PortServer server(options);
  const auto channel = server.Reach();
  EXPECT_TRUE(AskWithToken(channel, "0123456789abcdef").status.ok());
  EXPECT_EQ(AskWithToken(channel, "0123456789abcdeF").status.error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(AskCaller(channel).status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  const CallerAnswer two = AskCaller(channel, [](grpc::ClientContext& context) {
    context.AddMetadata("authorization", "Bearer 0123456789abcdef");
    context.AddMetadata("authorization", "Bearer 0123456789abcdef");
  });
  EXPECT_EQ(two.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  grpc::ClientContext context;
  v1::DetokenizeResponse response;  // not implemented here: says no more than that
  EXPECT_EQ(v1::InferenceService::NewStub(channel)
                ->Detokenize(&context, v1::DetokenizeRequest(), &response)
                .error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(ListenerTest, GivesASocketItsMode) {
  const std::string path = folder_.File("socket");
  const auto mode_of = [&path] {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0);
    return info.st_mode & 0777u;
  };
  const mode_t mask = umask(0022);
  {
    const PortServer server({}, "unix:" + path);
    EXPECT_EQ(mode_of(), 0600u);
  }
  {
    const PortServer server({.socket_mode = 0660}, "unix:" + path);
    EXPECT_EQ(mode_of(), 0660u);
    EXPECT_TRUE(AskCaller(server.Reach()).status.ok());
  }
  EXPECT_EQ(umask(mask), 0022u);
  EXPECT_FALSE(CreateStatus({.socket_mode = 01777}).ok());
  EXPECT_FALSE(CreateStatus({.socket_mode = 0060}).ok());
}

TEST_F(ListenerTest, ChecksItsLimits) {
  EXPECT_TRUE(TransportLimits().Validate().ok());
  EXPECT_THAT(std::string(TransportLimits{.max_message_bytes = 0}.Validate().message()),
              HasSubstr("--max-message-bytes"));
  EXPECT_THAT(std::string(TransportLimits{.max_message_bytes = 1ull << 31}.Validate().message()),
              HasSubstr("--max-message-bytes"));
  EXPECT_THAT(std::string(TransportLimits{.max_metadata_bytes = 10}.Validate().message()),
              HasSubstr("--max-metadata-bytes"));
  EXPECT_THAT(std::string(TransportLimits{.keepalive_time_s = 0}.Validate().message()),
              HasSubstr("--keepalive-time-s"));
}

TEST_F(ListenerTest, ChannelSecurityRenewsItsCredentials) {
  Put("ca", authority_.certificate());
  const PortServer server(Tls());
  auto security = ChannelSecurity::Create(
      {.files = {.authorities = folder_.File("ca"), .look_interval = absl::ZeroDuration()}});
  ASSERT_TRUE(security.ok()) << security.status();
  const ChannelSecurity::Credentials before = (*security)->Current();
  EXPECT_EQ((*security)->Current().version, before.version);
  EXPECT_TRUE(AskCaller(server.Reach(before.credentials)).status.ok());
  Put("ca", clients_.certificate() + "\n");
  const ChannelSecurity::Credentials after = (*security)->Current();
  EXPECT_NE(after.version, before.version);
  EXPECT_FALSE(AskCaller(server.Connect(after.credentials)).status.ok());
  Put("ca", "garbage");
  EXPECT_EQ((*security)->Current().version, after.version);
}

}  // namespace
}  // namespace spearfish
