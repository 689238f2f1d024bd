// Who makes a call, as admission counts it and logs name it.
//
// The contract of fronts inside a gateway (HTTP, VllmEngine) that serve outside callers through the
// gateway's own services:
//   1. A front finds out who its caller is: a gRPC front by CallerOf on the outside call, another
//      one by its own check of the bearer token (CallGate::TokenName, then CallerOfToken) or of the
//      client's certificate (CallerOfCertificate).
//   2. It calls over grpc::Server::InProcessChannel and names the caller by CallFor.
//   3. The services ask CallerOf, which believes that name on in-process calls alone. A caller at a
//      port who sends the same metadata is not believed: the name stays unread.
// In-process calls pass no port, so nobody checks them: a front is as trusted as the services.
#ifndef COMMON_RPC_CALLER_IDENTITY_H_
#define COMMON_RPC_CALLER_IDENTITY_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <string>

#include "absl/strings/string_view.h"

namespace spearfish {

class TokenFile;

inline constexpr char kCallerMetadataKey[] = "x-spearfish-client";

// Whether the call came over the server's InProcessChannel. Nothing outside of the process can make
// this true.
bool IsInProcess(const grpc::ServerContextBase& context);

// What CallerOf says for the holder of the token that has this name.
std::string CallerOfToken(absl::string_view token_name);

// What CallerOf says for the holder of the verified certificate whose identity is `name` (see
// common/rpc/certificate_names.h).
std::string CallerOfCertificate(absl::string_view name);

// Never empty. In this order: the caller that an in-process front named; "token:NAME" of a bearer
// token in `tokens` (null: none are asked for); "id:NAME" of a verified client certificate; the
// host of the connection ("ipv4:127.0.0.1"), so that connections of one host count together.
std::string CallerOf(const grpc::ServerContextBase& context, const TokenFile* tokens = nullptr);

// Names `caller` (a result of CallerOf...) on a call over an InProcessChannel. Bytes that metadata
// can't hold become '?'.
void CallFor(absl::string_view caller, grpc::ClientContext& context);

}  // namespace spearfish

#endif  // COMMON_RPC_CALLER_IDENTITY_H_
