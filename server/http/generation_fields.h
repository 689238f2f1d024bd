// The fields that chat and text completions have in common, as parts of a spearfish.v1 request.
#ifndef SERVER_HTTP_GENERATION_FIELDS_H_
#define SERVER_HTTP_GENERATION_FIELDS_H_

#include "absl/status/status.h"
#include "server/http/json_fields.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// How the answer is sent.
struct StreamFields {
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
};

// model, sampling (temperature, top_p, min_p, top_k, seed, penalties, logit_bias, n), stopping
// (stop, stop_token_ids, min_tokens, ignore_eos, include_stop_str_in_output) and prompt_cache_key.
// Ranges are the worker's to check, but for n.
absl::Status ReadGenerationFields(const JsonFields& fields, v1::GenerateStreamRequest& request);

absl::StatusOr<StreamFields> ReadStreamFields(const JsonFields& fields);

// InvalidArgument for fields that ask for something else than what would be done without them
// (constrained output, beam search, ...): ignoring those would answer another question.
absl::Status RefuseUnsupported(const JsonFields& fields);

}  // namespace spearfish::server

#endif  // SERVER_HTTP_GENERATION_FIELDS_H_
