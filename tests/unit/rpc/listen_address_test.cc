#include "common/rpc/listen_address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace spearfish {
namespace {

std::string TempPath(const std::string& name) {
  return absl::StrCat(::testing::TempDir(), "/spearfish-", name, "-", getpid());
}

bool Exists(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

int BindSocket(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

TEST(ListenAddress, ReadsBothForms) {
  const auto tcp = ParseListenAddress("localhost:0");
  ASSERT_TRUE(tcp.ok());
  EXPECT_EQ(tcp->ToString(), "localhost:0");
  EXPECT_EQ(tcp->ToString(8080), "localhost:8080");
  const auto v6 = ParseListenAddress("[::1]:65535");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "[::1]");
  EXPECT_EQ(v6->port, 65535);
  const auto path = ParseListenAddress("unix:/tmp/a:b");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->path, "/tmp/a:b");
  EXPECT_EQ(path->ToString(1), "unix:/tmp/a:b");
}

TEST(ListenAddress, RefusesWhatIsNone) {
  const std::string long_path = "unix:/" + std::string(200, 'a');
  for (const std::string& text : {std::string("a"), std::string(":1"), std::string("a:65536"),
                                  std::string("a:-1"), std::string("::1:5"), long_path}) {
    EXPECT_EQ(ParseListenAddress(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(RemoveStaleSocket, RemovesOneThatNobodyServes) {
  const std::string path = TempPath("stale");
  close(BindSocket(path));
  ASSERT_TRUE(Exists(path));
  EXPECT_TRUE(RemoveStaleSocket(path).ok());
  EXPECT_FALSE(Exists(path));
  EXPECT_TRUE(RemoveStaleSocket(path).ok());
}

TEST(RemoveStaleSocket, KeepsALivingOne) {
  const std::string path = TempPath("living");
  const int fd = BindSocket(path);
  ASSERT_EQ(listen(fd, 1), 0);
  EXPECT_EQ(RemoveStaleSocket(path).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Exists(path));
  close(fd);
  unlink(path.c_str());
}

TEST(RemoveStaleSocket, KeepsWhatIsNoSocket) {
  const std::string path = TempPath("file");
  std::ofstream(path) << "precious";
  EXPECT_EQ(RemoveStaleSocket(path).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Exists(path));
  unlink(path.c_str());
}

}  // namespace
}  // namespace spearfish
