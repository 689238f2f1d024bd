// A call's way through admission: it waits, starts or is refused, or its client gives up.
#ifndef SERVER_API_ADMITTED_CALL_H_
#define SERVER_API_ADMITTED_CALL_H_

#include <grpcpp/server_context.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "common/rpc/caller_identity.h"
#include "server/admission/admission_controller.h"
#include "server/api/entrance.h"
#include "server/dispatch/route_key.h"

namespace spearfish::server {

template <typename Request>
AdmissionRequest AdmissionOf(const Entrance& entrance, const grpc::CallbackServerContext& context,
                             const Request& request) {
  const auto deadline = context.deadline();
  const bool endless = deadline == std::chrono::system_clock::time_point::max();
  return {.client = CallerOf(context, entrance.tokens),
          .request_id = request.request_id(),
          .priority = request.priority(),
          .num_sequences = NumSequences(request),
          .bytes = request.ByteSizeLong(),
          .deadline = endless ? absl::InfiniteFuture() : absl::FromChrono(deadline)};
}

// Part of a reactor, which it must not outlive. Holds the place among those that run until it is
// destroyed. Invariant: exactly one of start, refused and Withdraw's true comes.
class AdmittedCall {
 public:
  explicit AdmittedCall(AdmissionController& admission)
      : admission_(admission), id_(admission.NewId()) {}

  // Calls one of both, now or later, on any thread; the last thing that a reactor's constructor
  // does.
  void Enter(AdmissionRequest request, std::function<void()> start,
             std::function<void(const Refusal&)> refused) {
    admission_.Enter(id_, std::move(request),
                     [this, start = std::move(start), refused = std::move(refused)](
                         AdmissionTicket ticket, const std::optional<Refusal>& refusal) {
                       ticket_ = std::move(ticket);
                       if (refusal) {
                         refused(*refusal);
                       } else {
                         start();
                       }
                     });
  }

  // The client gave up. True when the call waited: nothing else will end it.
  bool Withdraw() { return admission_.Withdraw(id_); }

 private:
  AdmissionController& admission_;
  const uint64_t id_;
  AdmissionTicket ticket_;
};

}  // namespace spearfish::server

#endif  // SERVER_API_ADMITTED_CALL_H_
