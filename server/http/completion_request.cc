#include "server/http/completion_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/http/json_fields.h"

namespace spearfish::server {
namespace {

constexpr size_t kMostPrompts = 1024;
constexpr uint32_t kDefaultMaxTokens = 16;  // OpenAI's, for this endpoint only
// What the prompts of a request have in common is copied for each.
constexpr size_t kMostCommonBytes = 32 << 20;
constexpr char kExpected[] = "a string, an array of token ids, or an array of either";

bool IsTokenId(const Json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= UINT32_MAX;
}

absl::Status ReadTokenIds(const Json& ids, const std::string& path, v1::TokenIds& out) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!IsTokenId(ids[i])) {
      return InvalidField(absl::StrCat(path, "[", i, "]"), "is not a token id");
    }
    out.add_ids(ids[i].get<uint32_t>());
  }
  return absl::OkStatus();
}

absl::Status AddPrompt(const Json& prompt, const std::string& path,
                       const v1::GenerateStreamRequest& common, CompletionRequest& out) {
  v1::GenerateStreamRequest& request = out.requests.emplace_back(common);
  if (prompt.is_string()) {
    request.set_text(prompt.get_ref<const std::string&>());
    return absl::OkStatus();
  }
  if (!prompt.is_array()) return WrongType(path, prompt, kExpected);
  return ReadTokenIds(prompt, path, *request.mutable_token_ids());
}

absl::Status ReadPrompts(const JsonFields& fields, const v1::GenerateStreamRequest& common,
                         CompletionRequest& out) {
  const Json* const prompt = fields.Find("prompt");
  if (prompt == nullptr) return InvalidField("prompt", "is missing");
  if (!prompt->is_array()) return AddPrompt(*prompt, "prompt", common, out);
  if (prompt->empty()) return InvalidField("prompt", "is empty");
  if (prompt->front().is_number()) return AddPrompt(*prompt, "prompt", common, out);
  if (prompt->size() > kMostPrompts) {
    return InvalidField("prompt",
                        absl::StrCat("has ", prompt->size(), " entries, at most ", kMostPrompts));
  }
  if (common.ByteSizeLong() * prompt->size() > kMostCommonBytes) {
    return InvalidField("prompt", "has too many entries for a request with so large other fields");
  }
  for (size_t i = 0; i < prompt->size(); ++i) {
    SF_RETURN_IF_ERROR(AddPrompt((*prompt)[i], absl::StrCat("prompt[", i, "]"), common, out));
  }
  return absl::OkStatus();
}

absl::Status ReadEcho(const JsonFields& fields, CompletionRequest& out) {
  out.echoes.resize(out.requests.size());
  SF_ASSIGN_OR_RETURN(const bool echo, fields.Flag("echo"));
  if (!echo) return absl::OkStatus();
  for (size_t i = 0; i < out.requests.size(); ++i) {
    if (!out.requests[i].has_text()) {
      return InvalidField("echo", "is not supported with prompts of token ids");
    }
    if (out.requests[i].output().has_logprobs()) {
      return InvalidField("echo", "is not supported together with `logprobs`");
    }
    out.echoes[i] = out.requests[i].text();
  }
  return absl::OkStatus();
}

absl::Status ReadMaxTokens(const JsonFields& fields, v1::Stopping& stopping) {
  SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> count, fields.Count("max_tokens"));
  if (count == 0) return InvalidField("max_tokens", "is 0; at least 1");
  stopping.set_max_tokens(count.value_or(kDefaultMaxTokens));
  return absl::OkStatus();
}

absl::Status ReadLogprobs(const JsonFields& fields, v1::Output& output) {
  SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> top, fields.Count("logprobs"));
  if (!top) return absl::OkStatus();
  output.set_logprobs(*top);
  output.set_token_bytes(true);
  return absl::OkStatus();
}

absl::Status RefuseOfCompletions(const JsonFields& fields, const v1::Sampling& sampling) {
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> suffix, fields.Text("suffix"));
  if (suffix && !suffix->empty()) return InvalidField("suffix", "is not supported");
  SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> best_of, fields.Count("best_of"));
  if (best_of && *best_of != std::max(1u, sampling.num_sequences())) {
    return InvalidField("best_of", "is not supported unless it equals `n`");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompletionRequest> ReadCompletionRequest(absl::string_view body) {
  SF_ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  SF_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(json, ""));
  CompletionRequest out;
  v1::GenerateStreamRequest common;
  SF_RETURN_IF_ERROR(RefuseUnsupported(fields));
  SF_RETURN_IF_ERROR(ReadGenerationFields(fields, common));
  SF_RETURN_IF_ERROR(RefuseOfCompletions(fields, common.sampling()));
  SF_ASSIGN_OR_RETURN(out.stream, ReadStreamFields(fields));
  SF_RETURN_IF_ERROR(ReadMaxTokens(fields, *common.mutable_stopping()));
  SF_RETURN_IF_ERROR(ReadLogprobs(fields, *common.mutable_output()));
  SF_RETURN_IF_ERROR(ReadPrompts(fields, common, out));
  SF_RETURN_IF_ERROR(ReadEcho(fields, out));
  return out;
}

}  // namespace spearfish::server
