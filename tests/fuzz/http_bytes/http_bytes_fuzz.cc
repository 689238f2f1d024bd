// Any bytes as a connection of HTTP clients: the first says how they are cut into pieces, which
// must not matter for the requests that are read.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "server/http/request_parser.h"

namespace spearfish::server {
namespace {

using Parsed = RequestParser::Parsed;

constexpr uint64_t kMostBodyBytes = 64;

// What becomes of the connection's next request, once more is needed no more.
Parsed ParseOne(RequestParser& parser, absl::string_view& rest, size_t piece) {
  bool in_body = false;
  while (true) {
    const Parsed parsed = in_body ? parser.ParseBody() : parser.ParseHead();
    if (parsed == Parsed::kBad) return parsed;
    if (parsed == Parsed::kDone) {
      if (in_body) return parsed;
      in_body = true;
      continue;
    }
    if (rest.empty()) return parsed;
    parser.Add(rest.substr(0, piece));
    rest.remove_prefix(std::min(piece, rest.size()));
  }
}

// Every request that was read as a whole, in one line.
std::string ReadAll(absl::string_view bytes, size_t piece) {
  RequestParser parser(kMostBodyBytes);
  std::string all;
  while (true) {
    const Parsed parsed = ParseOne(parser, bytes, piece);
    if (parsed == Parsed::kMore) return all;
    if (parsed == Parsed::kBad) {
      // When it is seen to be bad may depend on the pieces.
      SF_CHECK(!parser.error().message.empty() && parser.error().status >= 400);
      return all;
    }
    const HttpRequest head = parser.Head();
    const std::string body = parser.TakeBody();
    SF_CHECK(!head.method.empty() && body.size() <= kMostBodyBytes);
    absl::StrAppend(&all, head.method, "\1", head.target, "\1", head.authorization, "\1", body,
                    parser.keep_alive() ? "\2" : "\3");
    parser.Begin();
  }
}

}  // namespace
}  // namespace spearfish::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  using spearfish::server::ReadAll;
  SF_CHECK(ReadAll(bytes, size_t{1} + data[0]) == ReadAll(bytes, size));
  return 0;
}
