#include "server/http/generation_fields.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::server {
namespace {

constexpr uint32_t kMostChoices = 64;
constexpr size_t kMostStops = 64;  // the worker's own bound: a longer list need not travel there

// OpenAI's seeds are signed.
absl::Status ReadSeed(const JsonFields& fields, v1::Sampling& sampling) {
  const Json* const seed = fields.Find("seed");
  if (seed == nullptr) return absl::OkStatus();
  if (!seed->is_number_integer()) return WrongType(fields.PathOf("seed"), *seed, "an integer");
  sampling.set_seed(seed->is_number_unsigned() ? seed->get<uint64_t>()
                                               : static_cast<uint64_t>(seed->get<int64_t>()));
  return absl::OkStatus();
}

absl::Status ReadLogitBias(const JsonFields& fields, v1::Sampling& sampling) {
  SF_ASSIGN_OR_RETURN(const Json* const biases, fields.Object("logit_bias"));
  if (biases == nullptr) return absl::OkStatus();
  for (const auto& [key, bias] : biases->items()) {
    uint32_t id = 0;
    if (!absl::SimpleAtoi(key, &id)) {
      return InvalidField(fields.PathOf("logit_bias"), "has a key that is not a token id");
    }
    if (!bias.is_number()) {
      return WrongType(fields.PathOf(absl::StrCat("logit_bias.", id)), bias, "a number");
    }
    (*sampling.mutable_logit_bias())[id] = static_cast<float>(bias.get<double>());
  }
  return absl::OkStatus();
}

absl::Status ReadNumChoices(const JsonFields& fields, v1::Sampling& sampling) {
  SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> n, fields.Count("n"));
  if (!n) return absl::OkStatus();
  if (*n == 0 || *n > kMostChoices) {
    return InvalidField(fields.PathOf("n"),
                        absl::StrCat(*n, " is outside [1, ", kMostChoices, "]"));
  }
  sampling.set_num_sequences(*n);
  return absl::OkStatus();
}

absl::Status ReadSampling(const JsonFields& fields, v1::Sampling& sampling) {
  using Set = void (v1::Sampling::*)(float);
  constexpr std::pair<const char*, Set> kNumbers[] = {
      {"temperature", &v1::Sampling::set_temperature},
      {"top_p", &v1::Sampling::set_top_p},
      {"min_p", &v1::Sampling::set_min_p},
      {"presence_penalty", &v1::Sampling::set_presence_penalty},
      {"frequency_penalty", &v1::Sampling::set_frequency_penalty},
      {"repetition_penalty", &v1::Sampling::set_repetition_penalty},
  };
  for (const auto& [name, set] : kNumbers) {
    SF_ASSIGN_OR_RETURN(const std::optional<float> value, fields.Number(name));
    if (value) (sampling.*set)(*value);
  }
  // As vLLM has it, -1 switches it off.
  const Json* const top_k = fields.Find("top_k");
  if (top_k != nullptr && *top_k == -1) {
    sampling.set_top_k(0);
  } else {
    SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> count, fields.Count("top_k"));
    if (count) sampling.set_top_k(*count);
  }
  SF_RETURN_IF_ERROR(ReadSeed(fields, sampling));
  SF_RETURN_IF_ERROR(ReadLogitBias(fields, sampling));
  return ReadNumChoices(fields, sampling);
}

absl::Status ReadStops(const JsonFields& fields, v1::Stopping& stopping) {
  const Json* const stop = fields.Find("stop");
  if (stop == nullptr) return absl::OkStatus();
  if (stop->is_string()) {
    stopping.add_stop_strings(stop->get_ref<const std::string&>());
    return absl::OkStatus();
  }
  if (!stop->is_array()) {
    return WrongType(fields.PathOf("stop"), *stop, "a string or an array of strings");
  }
  if (stop->size() > kMostStops) {
    return InvalidField(fields.PathOf("stop"),
                        absl::StrCat("has ", stop->size(), " entries, at most ", kMostStops));
  }
  for (size_t i = 0; i < stop->size(); ++i) {
    if (!(*stop)[i].is_string()) {
      return WrongType(fields.PathOf(absl::StrCat("stop[", i, "]")), (*stop)[i], "a string");
    }
    stopping.add_stop_strings((*stop)[i].get_ref<const std::string&>());
  }
  return absl::OkStatus();
}

absl::Status ReadStopTokens(const JsonFields& fields, v1::Stopping& stopping) {
  SF_ASSIGN_OR_RETURN(const Json* const ids, fields.Array("stop_token_ids"));
  if (ids == nullptr) return absl::OkStatus();
  for (const Json& id : *ids) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > UINT32_MAX) {
      return InvalidField(fields.PathOf("stop_token_ids"), "holds something that is no token id");
    }
    stopping.add_stop_token_ids(id.get<uint32_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadStopping(const JsonFields& fields, v1::Stopping& stopping) {
  SF_RETURN_IF_ERROR(ReadStops(fields, stopping));
  SF_RETURN_IF_ERROR(ReadStopTokens(fields, stopping));
  SF_ASSIGN_OR_RETURN(const std::optional<uint32_t> min_tokens, fields.Count("min_tokens"));
  if (min_tokens) stopping.set_min_tokens(*min_tokens);
  SF_ASSIGN_OR_RETURN(const bool ignore_eos, fields.Flag("ignore_eos"));
  stopping.set_ignore_eos(ignore_eos);
  return absl::OkStatus();
}

absl::Status Unsupported(const JsonFields& fields, const char* name, absl::string_view why) {
  return InvalidField(fields.PathOf(name), absl::StrCat("is not supported", why));
}

absl::Status RefuseResponseFormat(const JsonFields& fields) {
  SF_ASSIGN_OR_RETURN(const Json* const format, fields.Object("response_format"));
  if (format == nullptr) return absl::OkStatus();
  SF_ASSIGN_OR_RETURN(const JsonFields members, JsonFields::Of(*format, "response_format"));
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> type, members.Text("type"));
  if (type == "text") return absl::OkStatus();
  return Unsupported(fields, "response_format", ": only {\"type\": \"text\"} is");
}

}  // namespace

absl::Status ReadGenerationFields(const JsonFields& fields, v1::GenerateStreamRequest& request) {
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> model, fields.Text("model"));
  if (!model || model->empty()) {
    return InvalidField("model", "is missing; GET /v1/models says what is served");
  }
  request.set_model(*model);
  SF_RETURN_IF_ERROR(ReadSampling(fields, *request.mutable_sampling()));
  SF_RETURN_IF_ERROR(ReadStopping(fields, *request.mutable_stopping()));
  SF_ASSIGN_OR_RETURN(const bool include_stop, fields.Flag("include_stop_str_in_output"));
  request.mutable_output()->set_include_stop_string(include_stop);
  request.mutable_output()->set_text(true);
  SF_ASSIGN_OR_RETURN(const std::optional<std::string> cache_key, fields.Text("prompt_cache_key"));
  if (cache_key) request.set_session_id(*cache_key);
  return absl::OkStatus();
}

absl::StatusOr<StreamFields> ReadStreamFields(const JsonFields& fields) {
  StreamFields out;
  SF_ASSIGN_OR_RETURN(out.stream, fields.Flag("stream"));
  SF_ASSIGN_OR_RETURN(const Json* const options, fields.Object("stream_options"));
  if (options == nullptr) return out;
  if (!out.stream) return InvalidField("stream_options", "is set, but `stream` is not true");
  SF_ASSIGN_OR_RETURN(const JsonFields members, JsonFields::Of(*options, "stream_options"));
  SF_ASSIGN_OR_RETURN(out.include_usage, members.Flag("include_usage"));
  return out;
}

absl::Status RefuseUnsupported(const JsonFields& fields) {
  for (const char* name : {"functions", "function_call", "audio", "guided_json", "guided_regex",
                           "guided_choice", "guided_grammar", "structured_outputs"}) {
    if (fields.Has(name)) return Unsupported(fields, name, "");
  }
  SF_ASSIGN_OR_RETURN(const bool beam_search, fields.Flag("use_beam_search"));
  if (beam_search) return Unsupported(fields, "use_beam_search", "");
  return RefuseResponseFormat(fields);
}

}  // namespace spearfish::server
