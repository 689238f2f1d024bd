// The events of one spearfish.v1 stream as a router expects them.
#ifndef COMMON_VLLM_ENGINE_OUTPUT_CONVERTER_H_
#define COMMON_VLLM_ENGINE_OUTPUT_CONVERTER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/vllm_engine/wire.h"
#include "spearfish/v1/inference.pb.h"

namespace spearfish::vllm_engine {

// Pure but for what it remembers of one request. kStream: every Delta is a chunk, and the Complete
// of a sequence repeats the last one. kWhole: Completes only, with all tokens; holds them until
// then.
class OutputConverter {
 public:
  enum class Mode { kStream, kWhole };

  // The prompt's first token, if log-probabilities of the prompt were asked for: PromptInfo starts
  // with the second.
  OutputConverter(Mode mode, std::optional<uint32_t> first_prompt_id)
      : mode_(mode), first_prompt_id_(first_prompt_id) {}

  // What the router gets for the event: nothing or one message.
  std::optional<wire::GenerateResponse> Convert(v1::GenerateStreamResponse event);

 private:
  struct Sequence {
    v1::Delta delta;  // kStream: the last; kWhole: all
    bool begun = false;
  };

  void Note(const v1::PromptInfo& info);
  std::optional<wire::GenerateResponse> Convert(v1::Delta delta);
  wire::GenerateResponse Convert(const v1::Finish& finish);

  const Mode mode_;
  const std::optional<uint32_t> first_prompt_id_;
  uint32_t num_prompt_tokens_ = 0;
  uint32_t num_cached_tokens_ = 0;
  std::optional<wire::InputLogProbs> input_logprobs_;
  std::map<uint32_t, Sequence> sequences_;  // by index
};

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_OUTPUT_CONVERTER_H_
