// One line of the log for each request that a worker has answered.
#ifndef WORKER_RPC_CALL_LOG_H_
#define WORKER_RPC_CALL_LOG_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "worker/engine/request.h"

namespace spearfish::worker {

// Part of a call that generates. Observe runs on the engine's thread: no lock, no allocation, a
// clock only at the first token. Write runs once, when the call is done, on a thread of gRPC's.
class CallLog {
 public:
  CallLog(const char* method, const grpc::CallbackServerContext& context);

  // Once, before the engine has the request; not when it was refused before.
  void set_request_id(const std::string& request_id) { request_id_ = request_id; }
  void Observe(const EngineEvent& event);
  // What the call is finished with.
  void set_code(grpc::StatusCode code) { code_ = code; }
  void Write() const;

 private:
  const char* const method_;
  const std::string client_;
  const std::string trace_id_;
  const absl::Time begin_ = absl::Now();
  std::string request_id_;
  std::atomic<int> code_ = grpc::StatusCode::UNKNOWN;
  std::atomic<uint32_t> num_prompt_tokens_ = 0;
  std::atomic<uint64_t> num_generated_tokens_ = 0;
  std::atomic<int64_t> queued_ns_ = -1;
  std::atomic<int64_t> first_token_ns_ = -1;  // since begin_
};

}  // namespace spearfish::worker

#endif  // WORKER_RPC_CALL_LOG_H_
