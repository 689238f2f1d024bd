#include "common/rpc/channel_security.h"

#include "common/base/status_macros.h"

namespace spearfish {
namespace {

std::shared_ptr<grpc::ChannelCredentials> ToCredentials(const TlsMaterial& material) {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = material.authorities;  // empty: the host's own
  ssl.pem_private_key = material.key;
  ssl.pem_cert_chain = material.certificate;
  return grpc::SslCredentials(ssl);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChannelSecurity>> ChannelSecurity::Create(
    ChannelSecurityOptions options) {
  std::unique_ptr<ReloadedTls> tls;
  if (options.wants_tls()) {
    SF_ASSIGN_OR_RETURN(tls, OpenTlsFiles(options.files));
  }
  return std::unique_ptr<ChannelSecurity>(new ChannelSecurity(std::move(options), std::move(tls)));
}

ChannelSecurity::Credentials ChannelSecurity::Current() {
  std::shared_ptr<const TlsMaterial> material = tls_ == nullptr ? nullptr : tls_->Current();
  const MutexLock lock(mutex_);
  if (current_.version == 0 || material != material_) {
    current_.credentials =
        material == nullptr ? grpc::InsecureChannelCredentials() : ToCredentials(*material);
    ++current_.version;
    material_ = std::move(material);
  }
  return current_;
}

void ChannelSecurity::Adapt(grpc::ChannelArguments& arguments) const {
  if (!options_.server_name.empty()) {
    arguments.SetSslTargetNameOverride(options_.server_name);
  }
}

}  // namespace spearfish
