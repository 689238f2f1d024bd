#include "tests/unit/worker/rpc/rpc_test_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/mman.h>

#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/base/check.h"

namespace spearfish::worker {
namespace {

constexpr size_t kMappingBytes = size_t{1} << 20;

// Every page of it touched, so that the kernel counts it.
std::span<const std::byte> MapMemory() {
  void* memory = mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  SF_CHECK(memory != MAP_FAILED);
  return {static_cast<const std::byte*>(memory), kMappingBytes};
}

ModelConfig TestConfig() {
  ModelConfig config;
  config.architecture_name = "Qwen3MoeForCausalLM";
  config.model_type = "qwen3_moe";
  config.vocab_size = kTestVocabSize;
  config.num_layers = 4;
  config.num_experts = 16;
  config.num_experts_per_token = 2;
  config.eos_token_ids = {ByteTokenizer::kEnd};
  return config;
}

GenerationConfig TestDefaults() {
  GenerationConfig defaults;
  defaults.temperature = 0.5f;
  defaults.top_k = 20;
  defaults.eos_token_ids = {ByteTokenizer::kEnd, 7};
  return defaults;
}

MappedExpertCache TestCache() {
  MappedExpertCache cache;
  cache.segment_name = "spearfish-0123456789abcdef";
  cache.identity = "0123456789abcdef";
  cache.num_records = 64;
  cache.record_bytes = 4096;
  cache.bits = 4;
  cache.populated_here = true;
  cache.mapping = MapMemory();
  return cache;
}

PoolFigures TestPool() {
  PoolFigures pool;
  pool.frames = {.hard_slots = 3, .soft_slots = 5, .kv = 2, .workspace = 1, .unused = 4};
  pool.frame_bytes = 4096;
  pool.num_records = 64;
  pool.num_resident = 8;
  pool.num_loading = 1;
  pool.loads = {.count = 8, .bytes = 8 * 4096, .seconds = 0.25};
  pool.reclaims = {.count = 6, .bytes = 0, .seconds = 0};
  pool.reloads = {.count = 5, .bytes = 5 * 4096, .seconds = 0.5};
  pool.promotions = {.count = 7, .bytes = 7 * 4096, .seconds = 0.75};
  pool.cancelled_loads = 9;
  pool.extra_host_bytes = 1024;
  pool.layers = {{.resident = 2, .hits = 3, .misses = 4}, {.resident = 6, .hits = 5, .misses = 5}};
  return pool;
}

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace

RpcTestServer::RpcTestServer(Begin begin, std::string listen, const std::string& service_config,
                             bool log_requests)
    : model_{.engine = engine_,
             .tokenizer = tokenizer_,
             .served_name = "test-model",
             .config = TestConfig(),
             .defaults = TestDefaults(),
             .max_model_len = kTestMaxModelLen,
             .max_running_sequences = 64,
             .kv_block_tokens = 16,
             .experts = TestCache(),
             .pool_figures = TestPool} {
  RpcServerOptions options;
  options.listen = std::move(listen);
  options.log_requests = log_requests;
  auto server = RpcServer::Create(options, state_);
  SF_CHECK_OK(server.status());
  server_ = *std::move(server);
  if (begin == Begin::kReady) SetLoaded();
  grpc::ChannelArguments arguments;
  // Of its own: channels to a reused port would share connections otherwise.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!service_config.empty()) arguments.SetServiceConfigJSON(service_config);
  channel_ = grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
  // A first connection may fail on a loaded machine.
  SF_CHECK(channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60)));
  inference_ = v1::InferenceService::NewStub(channel_);
  control_ = v1::ControlService::NewStub(channel_);
}

RpcTestServer::~RpcTestServer() {
  server_->Shutdown(absl::ZeroDuration());
  const std::span<const std::byte> mapping = model_.experts.mapping;
  munmap(const_cast<std::byte*>(mapping.data()), mapping.size());
}

grpc::Status RpcTestServer::CallRaw(const std::string& method, const std::string& request,
                                    std::string& response) const {
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  const grpc::ByteBuffer sent = ToBuffer(request);
  grpc::ByteBuffer received;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &sent, &received,
                 [&](grpc::Status outcome) {
                   status = std::move(outcome);
                   done.Notify();
                 });
  done.WaitForNotification();
  response = ToString(received);
  return status;
}

int RpcTestServer::Health(const std::string& service) const {
  std::string request;
  if (!service.empty()) {  // HealthCheckRequest { string service = 1; }
    request = std::string("\x0a") + static_cast<char>(service.size()) + service;
  }
  std::string response;  // HealthCheckResponse { ServingStatus status = 1; }
  if (!CallRaw("/grpc.health.v1.Health/Check", request, response).ok()) return 0;
  return response.size() == 2 ? response[1] : 0;
}

grpc::Status FinishReading(StreamReader& reader) {
  v1::GenerateStreamResponse message;
  while (reader.Read(&message)) {
  }
  return reader.Finish();
}

v1::GenerateStreamRequest StreamRequest(const std::string& id) {
  v1::GenerateStreamRequest request;
  request.set_request_id(id);
  request.mutable_token_ids()->add_ids(1);
  return request;
}

v1::GenerateRequest UnaryRequest(const std::string& id) {
  v1::GenerateRequest request;
  request.set_request_id(id);
  request.mutable_token_ids()->add_ids(1);
  return request;
}

}  // namespace spearfish::worker
