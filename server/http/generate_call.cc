#include "server/http/generate_call.h"

#include <utility>

#include "server/http/pushback.h"

namespace spearfish::server {

GenerateCall::GenerateCall(LocalServices& services, v1::GenerateStreamRequest request,
                           size_t number, std::shared_ptr<HttpReply> executor,
                           std::shared_ptr<Receiver> receiver)
    : services_(services),
      live_(services),
      request_(std::move(request)),
      number_(number),
      executor_(std::move(executor)),
      receiver_(std::move(receiver)) {}

std::shared_ptr<GenerateCall> GenerateCall::Start(LocalServices& services,
                                                  const RequestIdentity& identity,
                                                  v1::GenerateStreamRequest request, size_t number,
                                                  std::shared_ptr<HttpReply> executor,
                                                  std::shared_ptr<Receiver> receiver) {
  std::shared_ptr<GenerateCall> call(new GenerateCall(services, std::move(request), number,
                                                      std::move(executor), std::move(receiver)));
  call->self_ = call;
  Apply(identity, call->context_);
  services.inference().async()->GenerateStream(&call->context_, &call->request_, call.get());
  // Reads start outside of reactions; the hold keeps OnDone from running between them. It is
  // released by the read that fails.
  call->AddHold();
  call->StartRead(&call->response_);
  call->StartCall();
  return call;
}

void GenerateCall::OnReadDone(bool ok) {
  if (!ok) {
    RemoveHold();
    return;
  }
  // Once it is posted, the rest of the call may be over before Post is back: what Post needs is
  // held here, and counts as a call until it is let go.
  const LocalServices::LiveCall live(services_);
  const std::shared_ptr<HttpReply> executor = executor_;
  executor->Post([self = self_] { self->receiver_->OnMessage(self->number_, self->response_); });
}

void GenerateCall::OnDone(const grpc::Status& status) {
  const LocalServices::LiveCall live(services_);  // as in OnReadDone
  const std::shared_ptr<HttpReply> executor = std::move(executor_);
  executor->Post([self = std::move(self_), status] {
    const std::shared_ptr<Receiver> receiver = std::move(self->receiver_);
    receiver->OnEnd(self->number_, status, PushbackOf(self->context_));
  });
}

}  // namespace spearfish::server
