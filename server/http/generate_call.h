// One GenerateStream call for a connection.
#ifndef SERVER_HTTP_GENERATE_CALL_H_
#define SERVER_HTTP_GENERATE_CALL_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <memory>

#include "absl/time/time.h"
#include "server/http/http_reply.h"
#include "server/http/local_services.h"
#include "server/http/request_identity.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server {

// Brings the call's messages from gRPC's threads to the connection's executor, one at a time: the
// next is read when the receiver says Read. Start, Read and Cancel are called on the executor.
//
// Lifetime: shared between gRPC (`self_`, from Start to OnDone), the receiver, and what is posted.
class GenerateCall final : public grpc::ClientReadReactor<v1::GenerateStreamResponse> {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    // On the executor. OnEnd once, after every message was read.
    virtual void OnMessage(size_t call, const v1::GenerateStreamResponse& message) = 0;
    virtual void OnEnd(size_t call, const grpc::Status& status, absl::Duration retry_after) = 0;
  };

  // `number` is what the receiver knows the call by.
  static std::shared_ptr<GenerateCall> Start(LocalServices& services,
                                             const RequestIdentity& identity,
                                             v1::GenerateStreamRequest request, size_t number,
                                             std::shared_ptr<HttpReply> executor,
                                             std::shared_ptr<Receiver> receiver);

  void Read() { StartRead(&response_); }
  // Reads fail soon; the receiver goes on to read until it hears of the end.
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  GenerateCall(LocalServices& services, v1::GenerateStreamRequest request, size_t number,
               std::shared_ptr<HttpReply> executor, std::shared_ptr<Receiver> receiver);

  LocalServices& services_;
  const LocalServices::LiveCall live_;  // destroyed last
  const v1::GenerateStreamRequest request_;
  const size_t number_;
  std::shared_ptr<HttpReply> executor_;
  std::shared_ptr<Receiver> receiver_;
  std::shared_ptr<GenerateCall> self_;
  grpc::ClientContext context_;
  v1::GenerateStreamResponse response_;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_GENERATE_CALL_H_
