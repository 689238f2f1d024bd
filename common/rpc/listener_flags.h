// The command-line flags of a listening port, the same for gateway and worker.
#ifndef COMMON_RPC_LISTENER_FLAGS_H_
#define COMMON_RPC_LISTENER_FLAGS_H_

#include <CLI/App.hpp>

#include "common/rpc/listener_options.h"

namespace spearfish {

// --tls-..., --socket-mode and the limits. `options` must outlive the parsing.
void AddListenerFlags(CLI::App& app, ListenerOptions& options);

// --auth-tokens-file and --insecure-tokens.
void AddTokenFlags(CLI::App& app, ListenerOptions& options);

}  // namespace spearfish

#endif  // COMMON_RPC_LISTENER_FLAGS_H_
