// An HTTP request that generates: its calls, and its answer.
#ifndef SERVER_HTTP_GENERATION_EXCHANGE_H_
#define SERVER_HTTP_GENERATION_EXCHANGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/http/error_response.h"
#include "server/http/generate_call.h"
#include "server/http/http_reply.h"
#include "server/http/local_services.h"
#include "server/http/request_identity.h"
#include "server/http/response_encoder.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

struct GenerationPlan {
  std::vector<v1::GenerateStreamRequest> requests = {};  // with ids; at least one
  RequestIdentity identity = {};
  bool stream = false;
  HttpHeaders headers = {};  // of the answer
};

// Runs a GenerateStream call for each request, a few at once, and gives their messages to the
// encoder. Of a stream, a call's next message is read only once what the last one made is with the
// kernel: a client that reads slowly holds back its workers, and at most one message of each call
// waits here. The first error ends all calls: before the first event it is the answer, after it an
// event. Everything runs on the connection's executor.
//
// Lifetime: shared between the connection and the calls.
class GenerationExchange final : public HttpExchange,
                                 public GenerateCall::Receiver,
                                 public std::enable_shared_from_this<GenerationExchange> {
 public:
  static std::shared_ptr<GenerationExchange> Start(LocalServices& services, GenerationPlan plan,
                                                   std::unique_ptr<ResponseEncoder> encoder,
                                                   std::shared_ptr<HttpReply> reply);

  void ClientGone() override;
  void OnMessage(size_t number, const v1::GenerateStreamResponse& message) override;
  void OnEnd(size_t number, const grpc::Status& status, absl::Duration retry_after) override;

 private:
  GenerationExchange(LocalServices& services, GenerationPlan plan,
                     std::unique_ptr<ResponseEncoder> encoder, std::shared_ptr<HttpReply> reply);

  void StartCalls();
  void Complete();
  void Fail(const HttpError& error);
  // No call is of use any more.
  void CancelCalls();
  // Writes the events that wait, unless a write is in flight.
  void Flush();
  void Written();
  void ReadNext(size_t number);
  void ReadAll(std::vector<size_t>& readers);

  LocalServices& services_;
  GenerationPlan plan_;
  const std::unique_ptr<ResponseEncoder> encoder_;
  const std::shared_ptr<HttpReply> reply_;

  std::vector<std::shared_ptr<GenerateCall>> calls_;  // by number; null once ended
  size_t num_running_ = 0;
  bool over_ = false;  // the answer is complete, or nobody wants it
  bool gone_ = false;

  std::string events_;  // to be written next
  // Calls that read on when these events, or those of the write in flight, are written.
  std::vector<size_t> readers_;
  std::vector<size_t> writing_readers_;
  bool begun_ = false;  // the answer's headers are decided
  bool writing_ = false;
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_GENERATION_EXCHANGE_H_
