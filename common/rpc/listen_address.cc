#include "common/rpc/listen_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace spearfish {
namespace {

constexpr uint32_t kMaxPort = 65535;

absl::Status Invalid(absl::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("invalid listen address: \"", text, "\": ", what,
                                                 "; use unix:PATH or HOST:PORT"));
}

absl::StatusOr<ListenAddress> ParseUnix(absl::string_view text, absl::string_view path) {
  constexpr size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty()) return Invalid(text, "the path is empty");
  if (path.size() > kMost) {
    return Invalid(text, absl::StrCat("the path has ", path.size(), " bytes, at most ", kMost));
  }
  ListenAddress address;
  address.kind = ListenAddress::Kind::kUnix;
  address.path = std::string(path);
  return address;
}

absl::StatusOr<ListenAddress> ParseTcp(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return Invalid(text, "no HOST:PORT");
  const absl::string_view host = text.substr(0, colon);
  if (host.find(':') != absl::string_view::npos && host.front() != '[') {
    return Invalid(text, "an IPv6 address needs brackets");
  }
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port > kMaxPort) {
    return Invalid(text, absl::StrCat("the port is not a number from 0 to ", kMaxPort));
  }
  ListenAddress address;
  address.host = std::string(host);
  address.port = static_cast<uint16_t>(port);
  return address;
}

// A name such as 127.example.org is not one.
bool IsLoopbackIpv4(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

// Whether a server answers there. A full backlog (EAGAIN) is a living server.
bool SomebodyListens(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  const absl::Cleanup close_fd = [fd] { close(fd); };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  const int rc = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return rc == 0 || errno != ECONNREFUSED;
}

}  // namespace

std::string ListenAddress::ToString(uint16_t bound_port) const {
  return kind == Kind::kUnix ? absl::StrCat("unix:", path) : absl::StrCat(host, ":", bound_port);
}

bool ListenAddress::IsLocal() const {
  return kind == Kind::kUnix || absl::EqualsIgnoreCase(host, "localhost") || host == "[::1]" ||
         IsLoopbackIpv4(host);
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  absl::string_view path = text;
  return absl::ConsumePrefix(&path, "unix:") ? ParseUnix(text, path) : ParseTcp(text);
}

absl::Status RemoveStaleSocket(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();  // binding says why, if it matters
  if (!S_ISSOCK(info.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen path is taken: ", path, " is not a socket; choose another path"));
  }
  if (SomebodyListens(path)) {
    return absl::AlreadyExistsError(absl::StrCat("listen path is taken: a server listens on ", path,
                                                 "; stop it or choose another path"));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("can't remove the stale socket ", path));
  }
  return absl::OkStatus();
}

}  // namespace spearfish
