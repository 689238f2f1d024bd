// Reads the "model" object of a tokenizer.json.
#ifndef COMMON_TOKENIZER_MODEL_JSON_H_
#define COMMON_TOKENIZER_MODEL_JSON_H_

#include "absl/status/statusor.h"
#include "common/tokenizer/json_reader.h"
#include "common/tokenizer/tokenizer_spec.h"

namespace spearfish {

// Merges may be pairs or "a b" strings; an empty unk_token, prefix or suffix counts as none, as old
// files write it. InvalidArgument for a merge that is neither, Unimplemented for another model than
// BPE and for dropout, byte_fallback, a subword prefix and a word suffix.
absl::StatusOr<ModelSpec> ReadModel(const JsonObject& model);

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_MODEL_JSON_H_
