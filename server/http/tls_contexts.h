// What TLS connections of the HTTP port begin with.
#ifndef SERVER_HTTP_TLS_CONTEXTS_H_
#define SERVER_HTTP_TLS_CONTEXTS_H_

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/rpc/tls_files.h"

namespace spearfish::server {

// One context for each version of the files, made when a connection first wants it. TLS 1.2 or
// later, ALPN "http/1.1", clients' certificates required where there are authorities for them. No
// session is resumed: what the files say now is asked of every connection.
// Used by one thread at a time.
class TlsContexts {
 public:
  // InvalidArgument when OpenSSL does not take what the files hold.
  static absl::StatusOr<std::unique_ptr<TlsContexts>> Create(std::shared_ptr<ReloadedTls> files);

  // Of the files as they are now; the last good one where OpenSSL does not take them (and the log
  // says so). Valid until the next call; connections that began with it hold what they need.
  boost::asio::ssl::context& Current();

 private:
  explicit TlsContexts(std::shared_ptr<ReloadedTls> files) : files_(std::move(files)) {}

  const std::shared_ptr<ReloadedTls> files_;            // shared with the gRPC port
  std::shared_ptr<const TlsMaterial> tried_;            // shared with files_
  std::unique_ptr<boost::asio::ssl::context> context_;  // of the last good one
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_TLS_CONTEXTS_H_
