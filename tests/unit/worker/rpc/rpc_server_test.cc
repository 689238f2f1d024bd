#include "worker/rpc/rpc_server.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

using ::testing::HasSubstr;

constexpr char kService[] = "spearfish.v1.InferenceService";
constexpr int kServing = 1;
constexpr int kNotServing = 2;

std::string SocketPath(const std::string& name) {
  return absl::StrCat(::testing::TempDir(), "/spearfish-", name, "-", getpid(), ".sock");
}

TEST(RpcServer, IsAliveThroughoutAndReadyBetweenLoadingAndDraining) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  EXPECT_EQ(server.Health(""), kServing);
  EXPECT_EQ(server.Health(kService), kNotServing);
  server.SetLoaded();
  EXPECT_EQ(server.Health(""), kServing);
  EXPECT_EQ(server.Health(kService), kServing);
  server.state().Drain();
  EXPECT_EQ(server.Health(""), kServing);
  EXPECT_EQ(server.Health(kService), kNotServing);
}

TEST(RpcServer, ADrainWhileLoadingKeepsItFromServing) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  server.state().Drain();
  server.SetLoaded();
  EXPECT_EQ(server.Health(kService), kNotServing);
  EXPECT_TRUE(server.engine().draining());
}

TEST(RpcServer, ReflectionListsTheServices) {
  RpcTestServer server;
  grpc::GenericStub stub(server.channel());
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(wait());
  // ServerReflectionRequest { string list_services = 7; }
  const grpc::Slice list_services(std::string("\x3a\x00", 2));
  call->Write(grpc::ByteBuffer(&list_services, 1), nullptr);
  ASSERT_TRUE(wait());
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  ASSERT_TRUE(wait());
  grpc::Slice bytes;
  ASSERT_TRUE(answer.DumpToSingleSlice(&bytes).ok());
  const std::string text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  EXPECT_THAT(text, HasSubstr("spearfish.v1.InferenceService"));
  EXPECT_THAT(text, HasSubstr("spearfish.v1.ControlService"));
  call->WritesDone(nullptr);
  ASSERT_TRUE(wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  ASSERT_TRUE(wait());
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST(RpcServer, UnknownMethodIsUnimplemented) {
  RpcTestServer server;
  std::string response;
  EXPECT_EQ(server.CallRaw("/spearfish.v1.InferenceService/Guess", "", response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST(RpcServer, MalformedBytesAreRefused) {
  RpcTestServer server;
  std::string response;
  EXPECT_FALSE(
      server.CallRaw("/spearfish.v1.InferenceService/Generate", "\xff\xff", response).ok());
  EXPECT_EQ(server.engine().num_submitted(), 0u);
}

TEST(RpcServer, MessagesPastTheLimitAreRefused) {
  RpcTestServer server;
  v1::GenerateRequest request = UnaryRequest("a");
  request.set_text(std::string(size_t{65} << 20, 'a'));
  grpc::ClientContext context;
  v1::GenerateResponse response;
  EXPECT_EQ(server.inference().Generate(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(RpcServer, PortZeroBindsAFreePort) {
  RpcTestServer server;
  EXPECT_TRUE(absl::StartsWith(server.address(), "127.0.0.1:"));
  EXPECT_FALSE(absl::EndsWith(server.address(), ":0"));
  EXPECT_EQ(server.Health(kService), kServing);
}

TEST(RpcServer, ATakenPortIsAnError) {
  RpcTestServer server;
  ServingState state("cpu");
  RpcServerOptions options;
  options.listen = server.address();
  EXPECT_EQ(RpcServer::Create(options, state).status().code(), absl::StatusCode::kUnavailable);
}

TEST(RpcServer, ListensOnAUnixSocketAndRemovesIt) {
  const std::string path = SocketPath("listen");
  {
    RpcTestServer server(RpcTestServer::Begin::kReady, "unix:" + path);
    EXPECT_EQ(server.address(), "unix:" + path);
    EXPECT_EQ(server.Health(kService), kServing);
  }
  struct stat info {};
  EXPECT_NE(lstat(path.c_str(), &info), 0);
}

TEST(RpcServer, NeverTakesALivingServersSocket) {
  const std::string path = SocketPath("living");
  RpcTestServer server(RpcTestServer::Begin::kReady, "unix:" + path);
  ServingState state("cpu");
  RpcServerOptions options;
  options.listen = "unix:" + path;
  EXPECT_EQ(RpcServer::Create(options, state).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(server.Health(kService), kServing);
}

TEST(RpcServer, ShutdownEndsLiveCalls) {
  RpcTestServer server;
  grpc::ClientContext context;
  const auto stream = server.inference().GenerateStream(&context, StreamRequest("a"));
  server.engine().TakeRequest();
  server.Shutdown(absl::ZeroDuration());
  EXPECT_FALSE(FinishReading(*stream).ok());
  EXPECT_TRUE(server.engine().WaitIdle(absl::InfiniteDuration()));
}

TEST(RpcServer, BadOptionsAreRefused) {
  ServingState state("cpu");
  for (const char* listen : {"", "host", "unix:", "host:99999", "host:x", ":1", "::1:50"}) {
    RpcServerOptions options;
    options.listen = listen;
    EXPECT_EQ(RpcServer::Create(options, state).status().code(), absl::StatusCode::kInvalidArgument)
        << listen;
  }
}

}  // namespace
}  // namespace spearfish::worker
