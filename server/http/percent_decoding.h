// Percent-encoding of URLs.
#ifndef SERVER_HTTP_PERCENT_DECODING_H_
#define SERVER_HTTP_PERCENT_DECODING_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spearfish::server {

// "a%2Fb" is "a/b"; what is no escape stays as it is.
std::string PercentDecoded(absl::string_view text);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_PERCENT_DECODING_H_
