// One name for a tensor, whatever prefix a checkpoint gives it.
#ifndef COMMON_SAFETENSORS_CANONICAL_NAME_H_
#define COMMON_SAFETENSORS_CANONICAL_NAME_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spearfish {

// Multimodal wrappers keep the text model below a prefix:
//
//   language_model.model.X, model.language_model.X, model.language_model.model.X  ->  model.X
//   language_model.lm_head.X, model.language_model.lm_head.X                      ->  lm_head.X
//
// Every other name (model.X, lm_head.X, a vision tower's) stays as it is.
std::string CanonicalTensorName(absl::string_view name);

}  // namespace spearfish

#endif  // COMMON_SAFETENSORS_CANONICAL_NAME_H_
