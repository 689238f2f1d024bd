#include "server/http/openai_handler.h"

#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "server/http/chat_encoder.h"
#include "server/http/chat_request.h"
#include "server/http/completion_encoder.h"
#include "server/http/completion_request.h"
#include "server/http/error_response.h"
#include "server/http/generation_exchange.h"
#include "server/http/models_exchange.h"
#include "server/http/percent_decoding.h"

namespace spearfish::server {
namespace {

enum class Endpoint { kChat, kCompletions, kModels, kHealth };

std::optional<Endpoint> EndpointOf(absl::string_view path) {
  if (path == "/v1/chat/completions") return Endpoint::kChat;
  if (path == "/v1/completions") return Endpoint::kCompletions;
  if (path == "/v1/models" || absl::StartsWith(path, "/v1/models/")) return Endpoint::kModels;
  if (path == "/health") return Endpoint::kHealth;
  return std::nullopt;
}

bool TakesABody(Endpoint endpoint) {
  return endpoint == Endpoint::kChat || endpoint == Endpoint::kCompletions;
}

std::string NewId() {
  static thread_local absl::BitGen bits;
  return absl::StrFormat("http-%016x%016x", absl::Uniform<uint64_t>(bits),
                         absl::Uniform<uint64_t>(bits));
}

// Browsers may send other types to any origin without asking; what they can't send is no attack.
bool IsJson(absl::string_view content_type) {
  const absl::string_view type = content_type.substr(0, content_type.find(';'));
  return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(type), "application/json");
}

absl::string_view PathOf(absl::string_view target) { return target.substr(0, target.find('?')); }

HttpResponse WrongMethod(const std::string& method, const char* allowed) {
  HttpResponse response =
      ErrorResponse(ErrorOf(405, absl::StrCat("method not allowed: ", method, "; use ", allowed)));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

HttpResponse UnknownPath() {
  return ErrorResponse(
      ErrorOf(404,
              "unknown path; this server has /v1/chat/completions, /v1/completions, "
              "/v1/models and /health"));
}

ResponseHead HeadOf(absl::string_view prefix, const std::string& id, const std::string& model) {
  return {
      .id = absl::StrCat(prefix, id), .model = model, .created = absl::ToUnixSeconds(absl::Now())};
}

}  // namespace

std::optional<HttpResponse> OpenAiHandler::Refuse(HttpRequest& head) {
  if (const absl::Status client = gate_.CheckClient(head); !client.ok()) {
    return ErrorResponse(ErrorOf(client));
  }
  const std::optional<Endpoint> endpoint = EndpointOf(PathOf(head.target));
  if (!endpoint) return UnknownPath();
  const char* const method = TakesABody(*endpoint) ? "POST" : "GET";
  if (head.method != method) return WrongMethod(head.method, method);
  if (*endpoint == Endpoint::kHealth) return std::nullopt;
  absl::StatusOr<std::string> caller = gate_.CallerOf(head);
  if (!caller.ok()) return ErrorResponse(ErrorOf(caller.status()));
  head.caller = *std::move(caller);
  if (TakesABody(*endpoint) && !IsJson(head.content_type)) {
    return ErrorResponse(ErrorOf(415, "the body is not JSON; send Content-Type: application/json"));
  }
  return std::nullopt;
}

std::shared_ptr<HttpExchange> OpenAiHandler::Handle(HttpRequest request,
                                                    std::shared_ptr<HttpReply> reply) {
  const std::optional<Endpoint> endpoint = EndpointOf(PathOf(request.target));
  if (endpoint == Endpoint::kHealth) {
    reply->Respond(Health());
    return nullptr;
  }
  Job job{.request = std::move(request), .reply = std::move(reply)};
  job.id = IsRequestId(job.request.request_id) ? job.request.request_id : NewId();
  job.headers = {{"X-Request-Id", job.id}};
  job.identity = IdentityOf(job.request);
  Started started = endpoint == Endpoint::kChat          ? StartChat(job)
                    : endpoint == Endpoint::kCompletions ? StartCompletion(job)
                                                         : StartModels(job);
  if (started.ok()) return *std::move(started);
  HttpResponse response = ErrorResponse(ErrorOf(started.status()));
  response.headers.insert(response.headers.end(), job.headers.begin(), job.headers.end());
  job.reply->Respond(std::move(response));
  return nullptr;
}

OpenAiHandler::Started OpenAiHandler::StartChat(Job& job) {
  SF_ASSIGN_OR_RETURN(ChatRequest chat, ReadChatRequest(job.request.body));
  chat.request.set_request_id(job.id);
  ChatEncoderOptions options{.head = HeadOf("chatcmpl-", job.id, chat.request.model()),
                             .num_choices = std::max(1u, chat.request.sampling().num_sequences()),
                             .logprobs = chat.request.output().has_logprobs(),
                             .include_usage = chat.stream.include_usage,
                             .format = {.reasoning = chat.reasoning, .tools = chat.tools}};
  std::unique_ptr<ResponseEncoder> encoder;
  if (chat.stream.stream) {
    encoder = std::make_unique<ChatChunkEncoder>(std::move(options));
  } else {
    encoder = std::make_unique<ChatCompletionEncoder>(std::move(options));
  }
  GenerationPlan plan{
      .identity = std::move(job.identity), .stream = chat.stream.stream, .headers = job.headers};
  plan.requests.push_back(std::move(chat.request));
  return GenerationExchange::Start(services_, std::move(plan), std::move(encoder), job.reply);
}

OpenAiHandler::Started OpenAiHandler::StartCompletion(Job& job) {
  SF_ASSIGN_OR_RETURN(CompletionRequest completion, ReadCompletionRequest(job.request.body));
  std::vector<v1::GenerateStreamRequest>& requests = completion.requests;
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].set_request_id(requests.size() == 1 ? job.id : absl::StrCat(job.id, "-", i));
  }
  const v1::GenerateStreamRequest& first = requests.front();
  CompletionEncoderOptions options{
      .head = HeadOf("cmpl-", job.id, first.model()),
      .echoes = std::move(completion.echoes),
      .choices_per_prompt = std::max(1u, first.sampling().num_sequences()),
      .logprobs = first.output().has_logprobs(),
      .include_usage = completion.stream.include_usage};
  auto encoder = std::make_unique<CompletionEncoder>(
      std::move(options), completion.stream.stream ? CompletionEncoder::Form::kChunks
                                                   : CompletionEncoder::Form::kWhole);
  GenerationPlan plan{.requests = std::move(requests),
                      .identity = std::move(job.identity),
                      .stream = completion.stream.stream,
                      .headers = job.headers};
  return GenerationExchange::Start(services_, std::move(plan), std::move(encoder), job.reply);
}

OpenAiHandler::Started OpenAiHandler::StartModels(Job& job) {
  constexpr absl::string_view kOne = "/v1/models/";
  ModelsQuery query{
      .created = created_, .identity = std::move(job.identity), .headers = std::move(job.headers)};
  const absl::string_view path = PathOf(job.request.target);
  if (absl::StartsWith(path, kOne)) query.id = PercentDecoded(path.substr(kOne.size()));
  return ModelsExchange::Start(services_, std::move(query), job.reply);
}

HttpResponse OpenAiHandler::Health() const {
  if (services_.ready()) return {.body = R"({"status":"ready"})"};
  return ErrorResponse(ErrorOf(503, "not ready: no worker, or stopping"));
}

}  // namespace spearfish::server
