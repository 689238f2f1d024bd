#include "server/http/percent_decoding.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace spearfish::server {
namespace {

bool IsEscape(absl::string_view text) {
  return text.size() >= 3 && text[0] == '%' &&
         absl::ascii_isxdigit(static_cast<unsigned char>(text[1])) &&
         absl::ascii_isxdigit(static_cast<unsigned char>(text[2]));
}

}  // namespace

std::string PercentDecoded(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (IsEscape(text)) {
      out += absl::HexStringToBytes(text.substr(1, 2));
      text.remove_prefix(3);
    } else {
      out.push_back(text.front());
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace spearfish::server
