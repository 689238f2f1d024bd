// Certificate, private key and trusted authorities of one side of TLS, from files.
#ifndef COMMON_RPC_TLS_FILES_H_
#define COMMON_RPC_TLS_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/reloaded_files.h"

namespace spearfish {

// Paths and the flags that gave them, for errors. An empty path: there is none.
struct TlsFiles {
  std::string certificate = {};
  std::string key = {};
  std::string authorities = {};
  std::string certificate_flag = "--tls-cert";
  std::string key_flag = "--tls-key";
  std::string authorities_flag = "--tls-ca";
  absl::Duration look_interval = absl::Seconds(1);

  // InvalidArgument: a certificate without key or the other way round.
  absl::Status Validate() const;
};

// PEM texts; empty where there is no file.
struct TlsMaterial {
  std::string certificate = {};
  std::string key = {};
  std::string authorities = {};
};

using ReloadedTls = ReloadedFiles<TlsMaterial>;

// Whatever Current() returns was checked: certificates valid when they were read, key and
// certificate a pair. Errors name flag, file and remedy. A key that everybody may read is a warning
// in the log.
absl::StatusOr<std::unique_ptr<ReloadedTls>> OpenTlsFiles(const TlsFiles& files);

}  // namespace spearfish

#endif  // COMMON_RPC_TLS_FILES_H_
