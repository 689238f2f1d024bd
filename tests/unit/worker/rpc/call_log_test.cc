#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/log.h"
#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";

class CallLogTest : public ::testing::Test {
 protected:
  CallLogTest() { InitLog("worker cpu", LogLevel::kInfo, LogFormat::kJson); }
  ~CallLogTest() override { InitLog(""); }

  // What is logged while one request is answered with two tokens; the server has stopped then.
  template <typename Call>
  static std::string Logged(const Call& call) {
    ::testing::internal::CaptureStderr();
    {
      RpcTestServer server(RpcTestServer::Begin::kReady, "127.0.0.1:0", "", /*log_requests=*/true);
      server.engine().AnswerWith(2);
      grpc::ClientContext context;
      context.AddMetadata("traceparent", std::string("00-") + kTraceId + "-00f067aa0ba902b7-01");
      context.AddMetadata("authorization", "Bearer hidden");
      call(server, context);
    }
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(CallLogTest, AStreamIsALineWithoutItsText) {
  const std::string log = Logged([](RpcTestServer& server, grpc::ClientContext& context) {
    v1::GenerateStreamRequest request = StreamRequest("stream-1");
    request.set_text("hush");
    const auto reader = server.inference().GenerateStream(&context, request);
    EXPECT_TRUE(FinishReading(*reader).ok());
  });
  EXPECT_THAT(log, AllOf(HasSubstr("\"method\":\"GenerateStream\""),
                         HasSubstr("\"request_id\":\"stream-1\""),
                         HasSubstr(std::string("\"trace_id\":\"") + kTraceId + "\""),
                         HasSubstr("\"status\":\"OK\""), HasSubstr("\"generated_tokens\":2"),
                         HasSubstr("\"ttft_ms\":")));
  EXPECT_THAT(log, AllOf(Not(HasSubstr("hush")), Not(HasSubstr("hidden"))));
}

TEST_F(CallLogTest, ARefusedCallIsALineWithItsStatus) {
  const std::string log = Logged([](RpcTestServer& server, grpc::ClientContext& context) {
    v1::GenerateRequest request = UnaryRequest("unary-1");
    request.set_model("another");
    v1::GenerateResponse response;
    EXPECT_FALSE(server.inference().Generate(&context, request, &response).ok());
  });
  EXPECT_THAT(log, AllOf(HasSubstr("\"method\":\"Generate\""),
                         HasSubstr("\"status\":\"NOT_FOUND\""), Not(HasSubstr("ttft_ms"))));
}

}  // namespace
}  // namespace spearfish::worker
