#include "common/rpc/tls_files.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/certificate_check.h"
#include "common/rpc/file_version.h"

namespace spearfish {
namespace {

constexpr size_t kMaxBytes = 4 << 20;

absl::Status Annotated(const std::string& flag, const std::string& path,
                       const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(flag, ": ", path, ": ", status.message()));
}

absl::Status ReadIdentity(const TlsFiles& files, TlsMaterial& out) {
  SF_ASSIGN_OR_RETURN(SmallFile certificate,
                      ReadSmallFile(files.certificate_flag, files.certificate, kMaxBytes));
  SF_ASSIGN_OR_RETURN(SmallFile key, ReadSmallFile(files.key_flag, files.key, kMaxBytes));
  SF_RETURN_IF_ERROR(Annotated(files.certificate_flag, files.certificate,
                               CheckCertificate(certificate.text, absl::Now())));
  SF_RETURN_IF_ERROR(
      Annotated(files.key_flag, files.key, CheckPrivateKey(key.text, certificate.text)));
  if ((key.mode & S_IROTH) != 0) {
    LogWarning(absl::StrCat(files.key_flag, ": everybody may read ", files.key, "; chmod 600 it"));
  }
  out.certificate = std::move(certificate.text);
  out.key = std::move(key.text);
  return absl::OkStatus();
}

absl::Status ReadAuthorities(const TlsFiles& files, TlsMaterial& out) {
  SF_ASSIGN_OR_RETURN(SmallFile authorities,
                      ReadSmallFile(files.authorities_flag, files.authorities, kMaxBytes));
  SF_RETURN_IF_ERROR(Annotated(files.authorities_flag, files.authorities,
                               CheckAuthorities(authorities.text, absl::Now())));
  out.authorities = std::move(authorities.text);
  return absl::OkStatus();
}

absl::StatusOr<TlsMaterial> Read(const TlsFiles& files) {
  TlsMaterial material;
  if (!files.certificate.empty()) SF_RETURN_IF_ERROR(ReadIdentity(files, material));
  if (!files.authorities.empty()) SF_RETURN_IF_ERROR(ReadAuthorities(files, material));
  return material;
}

}  // namespace

absl::Status TlsFiles::Validate() const {
  if (certificate.empty() == key.empty()) return absl::OkStatus();
  const std::string& given = key.empty() ? certificate_flag : key_flag;
  const std::string& missing = key.empty() ? key_flag : certificate_flag;
  return absl::InvalidArgumentError(
      absl::StrCat(given, " without ", missing, ": TLS needs both; give ", missing, "=FILE"));
}

absl::StatusOr<std::unique_ptr<ReloadedTls>> OpenTlsFiles(const TlsFiles& files) {
  SF_RETURN_IF_ERROR(files.Validate());
  return ReloadedTls::Create(
      {.what = absl::StrCat(
           "TLS of ", files.certificate.empty() ? files.authorities_flag : files.certificate_flag),
       .paths = {files.certificate, files.key, files.authorities},
       .interval = files.look_interval},
      [files] { return Read(files); });
}

}  // namespace spearfish
