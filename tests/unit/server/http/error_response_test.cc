#include "server/http/error_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "server/http/json_fields.h"
#include "server/http/percent_decoding.h"
#include "server/http/request_identity.h"

namespace spearfish::server {
namespace {

using ::testing::Contains;
using ::testing::Pair;

TEST(ErrorResponse, EveryCodeHasItsStatus) {
  const std::pair<grpc::StatusCode, int> cases[] = {
      {grpc::StatusCode::INVALID_ARGUMENT, 400},   {grpc::StatusCode::FAILED_PRECONDITION, 400},
      {grpc::StatusCode::UNAUTHENTICATED, 401},    {grpc::StatusCode::PERMISSION_DENIED, 403},
      {grpc::StatusCode::NOT_FOUND, 404},          {grpc::StatusCode::ALREADY_EXISTS, 409},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, 429}, {grpc::StatusCode::UNAVAILABLE, 503},
      {grpc::StatusCode::DEADLINE_EXCEEDED, 504},  {grpc::StatusCode::INTERNAL, 500},
      {grpc::StatusCode::DATA_LOSS, 500},
  };
  for (const auto& [code, status] : cases) {
    EXPECT_EQ(ErrorOf(grpc::Status(code, "why")).status, status);
  }
}

TEST(ErrorResponse, NamesTheFieldAsTheClientKnowsIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"invalid request: sampling.temperature 200 is outside [0, 100]", "temperature"},
      {"invalid request: sampling.num_sequences 70 is more than 64", "n"},
      {"invalid request: sampling.logit_bias[7] 200 is outside", "logit_bias"},
      {"invalid request: stopping.stop_strings[0] is empty", "stop"},
      {"invalid request: text has 9 tokens", "prompt"},
      {"invalid request: token_ids[3] 9 is not below", "prompt"},
      {"invalid request: chat.messages[0].role is empty", "messages"},
      {"invalid request: chat is refused: ...", "messages"},
      {"something else", ""},
  };
  for (const auto& [message, param] : cases) {
    EXPECT_EQ(ErrorOf(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, message)).param, param)
        << message;
  }
}

TEST(ErrorResponse, HasOpenAisBody) {
  const HttpError error =
      ErrorOf(grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown model: \"x\""));
  EXPECT_EQ(Json::parse(ErrorBody(error)), Json::parse(R"({"error": {
      "message": "unknown model: \"x\"", "type": "invalid_request_error", "param": "model",
      "code": "model_not_found"}})"));
  const Json plain = Json::parse(ErrorBody(ErrorOf(404, "no")));
  EXPECT_TRUE(plain["error"]["param"].is_null());
  EXPECT_TRUE(plain["error"]["code"].is_null());
}

TEST(ErrorResponse, SaysWhenToComeBack) {
  const grpc::Status status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
  const HttpResponse response = ErrorResponse(ErrorOf(status, absl::Milliseconds(1200)));
  EXPECT_EQ(response.status, 429);
  EXPECT_THAT(response.headers, Contains(Pair("Retry-After", "2")));
  EXPECT_THAT(response.headers, Contains(Pair("Retry-After-Ms", "1200")));
}

TEST(RequestIdentity, TakesOnlyWhatMetadataCanHold) {
  EXPECT_TRUE(IsRequestId("Req-1_a.b:c"));
  EXPECT_FALSE(IsRequestId(""));
  EXPECT_FALSE(IsRequestId("a b"));
  EXPECT_FALSE(IsRequestId(std::string(129, 'a')));
  HttpRequest request;
  request.traceparent = "00-a\n";
  request.tracestate = "x=1";
  EXPECT_EQ(IdentityOf(request).traceparent, "");
  EXPECT_EQ(IdentityOf(request).tracestate, "");
}

TEST(PercentDecoded, LeavesWhatIsNoEscape) {
  EXPECT_EQ(PercentDecoded("a%2Fb%2"), "a/b%2");
  EXPECT_EQ(PercentDecoded("%zz%41"), "%zzA");
}

}  // namespace
}  // namespace spearfish::server
