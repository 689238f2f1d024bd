#include "common/rpc/caller_identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/unit/rpc/port_server.h"

namespace spearfish {
namespace {

constexpr char kToken[] = "0123456789abcdef";
constexpr char kOtherToken[] = "fedcba9876543210";

CallerAnswer AskNaming(const std::shared_ptr<grpc::Channel>& channel, const std::string& caller) {
  return AskCaller(channel, [&caller](grpc::ClientContext& context) { CallFor(caller, context); });
}

class CallerIdentityTest : public ::testing::Test {
 protected:
  ListenerOptions WithTokens() {
    const std::string path = folder_.File("tokens");
    std::ofstream(path) << "team-a " << kToken << "\nteam-b " << kOtherToken;
    chmod(path.c_str(), 0600);
    return {.auth_tokens_file = path};
  }

  tests::TempDir folder_;
};

TEST_F(CallerIdentityTest, IsTheHostWithoutCredentials) {
  const PortServer server({});
  EXPECT_EQ(AskCaller(server.Reach()).caller, "ipv4:127.0.0.1");
}

TEST_F(CallerIdentityTest, IsTheTokensNameCallByCall) {
  const PortServer server(WithTokens());
  const auto channel = server.Reach();
  EXPECT_EQ(AskWithToken(channel, kToken).caller, "token:team-a");
  EXPECT_EQ(AskWithToken(channel, kOtherToken).caller, CallerOfToken("team-b"));
  EXPECT_EQ(AskWithToken(channel, kToken).caller, "token:team-a");
}

TEST_F(CallerIdentityTest, BelievesAFrontInTheProcess) {
  PortServer server(WithTokens());
  EXPECT_EQ(AskNaming(server.InProcess(), "token:somebody").caller, "token:somebody");
}

TEST_F(CallerIdentityTest, BelievesNobodyAtAPort) {
  const PortServer tcp({});
  EXPECT_EQ(AskNaming(tcp.Reach(), "token:somebody").caller, "ipv4:127.0.0.1");
  const PortServer unix_socket({}, "unix:" + folder_.File("socket"));
  const std::string caller = AskNaming(unix_socket.Reach(), "token:somebody").caller;
  EXPECT_EQ(caller.substr(0, 5), "unix:") << caller;
  const PortServer tokens(WithTokens());
  const CallerAnswer both = AskCaller(tokens.Reach(), [](grpc::ClientContext& context) {
    context.AddMetadata("authorization", std::string("Bearer ") + kToken);
    CallFor("token:somebody", context);
  });
  EXPECT_EQ(both.caller, "token:team-a");
}

TEST_F(CallerIdentityTest, CarriesAnyBytesOfAName) {
  PortServer server({});
  EXPECT_EQ(AskNaming(server.InProcess(), "id:a\xc3\xa4\n").caller, "id:a???");
}

TEST_F(CallerIdentityTest, IsNeverEmpty) {
  PortServer server({});
  EXPECT_FALSE(AskCaller(server.InProcess()).caller.empty());
  EXPECT_FALSE(AskNaming(server.InProcess(), "").caller.empty());
}

}  // namespace
}  // namespace spearfish
