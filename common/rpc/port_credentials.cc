#include "common/rpc/port_credentials.h"

#include <grpc/grpc.h>
#include <sys/stat.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/rpc/bearer_token.h"

namespace spearfish {
namespace {

constexpr char kPathKey[] = ":path";

absl::string_view ToView(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

void AddPeerNames(grpc_auth_context* context, const char* property, CallHeaders& out) {
  grpc_auth_property_iterator names = grpc_auth_context_find_properties_by_name(context, property);
  while (const grpc_auth_property* name = grpc_auth_property_iterator_next(&names)) {
    out.peer_names.emplace_back(name->value, name->value_length);
  }
}

CallHeaders HeadersOf(grpc_auth_context* context, const grpc_metadata* metadata, size_t count) {
  CallHeaders call;
  int num_tokens = 0;
  for (size_t i = 0; i < count; ++i) {
    const absl::string_view key = ToView(metadata[i].key);
    if (key == kPathKey) call.path = ToView(metadata[i].value);
    // Of several none counts: who looks next might take another one.
    if (key == kAuthorizationKey) {
      call.authorization = ++num_tokens == 1 ? ToView(metadata[i].value) : absl::string_view();
    }
  }
  if (grpc_auth_context_peer_is_authenticated(context) != 0) {
    AddPeerNames(context, GRPC_X509_SAN_PROPERTY_NAME, call);
    AddPeerNames(context, GRPC_X509_CN_PROPERTY_NAME, call);
  }
  return call;
}

grpc_ssl_server_certificate_config* ToConfig(const TlsMaterial& material) {
  const grpc_ssl_pem_key_cert_pair pair = {.private_key = material.key.c_str(),
                                           .cert_chain = material.certificate.c_str()};
  // gRPC 1.51 wants some here, though it uses them only where it asks clients for certificates.
  const std::string& roots =
      material.authorities.empty() ? material.certificate : material.authorities;
  return grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
}

}  // namespace

void PortCredentials::SetAuthMetadataProcessor(
    const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) {
  SF_CHECK(false);
}

grpc_ssl_certificate_config_reload_status PortCredentials::Fetch(
    void* shared, grpc_ssl_server_certificate_config** config) {
  Shared& self = *static_cast<Shared*>(shared);
  std::shared_ptr<const TlsMaterial> now = self.security.tls->Current();
  const MutexLock lock(self.mutex);
  if (now == self.served) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  *config = ToConfig(*now);
  if (*config == nullptr) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
  self.served = std::move(now);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

void PortCredentials::Process(void* shared, grpc_auth_context* context,
                              const grpc_metadata* metadata, size_t num_metadata,
                              grpc_process_auth_metadata_done_cb done, void* call) {
  CallGate& gate = *(*static_cast<std::shared_ptr<Shared>*>(shared))->security.gate;
  const absl::Status status = gate.Check(HeadersOf(context, metadata, num_metadata));
  // Absl's codes are gRPC's.
  done(call, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.code()),
       status.ok() ? nullptr : std::string(status.message()).c_str());
}

grpc_server_credentials* PortCredentials::MakeTransport() const {
  if (security_->security.tls == nullptr) return grpc_insecure_server_credentials_create();
  const auto request = security_->security.requires_client_certificate
                           ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                           : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
  return grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(request, Fetch,
                                                                      security_.get()));
}

int PortCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  grpc_server_credentials* const credentials = MakeTransport();
  const absl::Cleanup release = [credentials] { grpc_server_credentials_release(credentials); };
  // Without a gate the processor only keeps what Fetch uses.
  const bool gated = !security_->security.gate->lets_all_in();
  grpc_server_credentials_set_auth_metadata_processor(
      credentials,
      {.process = gated ? Process : nullptr,
       .destroy = [](void* shared) { delete static_cast<std::shared_ptr<Shared>*>(shared); },
       .state = new std::shared_ptr<Shared>(security_)});
  if (address_.kind != ListenAddress::Kind::kUnix) {
    return grpc_server_add_http2_port(server, address.c_str(), credentials);
  }
  // From its first moment the socket has no more rights than it will have.
  const mode_t mode = security_->security.socket_mode;
  const mode_t mask_before = umask(static_cast<mode_t>(~mode & 0777u));
  const int port = grpc_server_add_http2_port(server, address.c_str(), credentials);
  umask(mask_before);
  if (port != 0 && chmod(address_.path.c_str(), mode) != 0) {
    LogWarning(absl::StrCat("can't set the mode of ", address_.path, "; see --socket-mode"));
  }
  return port;
}

}  // namespace spearfish
