// Where calls enter the gateway.
#ifndef SERVER_API_ENTRANCE_H_
#define SERVER_API_ENTRANCE_H_

#include "common/rpc/token_file.h"
#include "server/admission/admission_controller.h"
#include "server/metrics/call_record.h"

namespace spearfish::server {

// Who is let in when, where calls are counted, and what callers are told apart by besides
// certificates and hosts (null: no tokens). A view: its parts outlive the services.
struct Entrance {
  AdmissionController& admission;
  Telemetry& telemetry;
  const TokenFile* tokens = nullptr;
};

}  // namespace spearfish::server

#endif  // SERVER_API_ENTRANCE_H_
