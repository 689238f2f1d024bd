// A fixed set of requests of all lengths, and what each of them has to give.
#ifndef TESTS_INTEGRATION_POOL_REQUEST_MIX_H_
#define TESTS_INTEGRATION_POOL_REQUEST_MIX_H_

#include <cstdint>
#include <vector>

#include "common/tokenizer/tokenizer.h"
#include "worker/engine/engine.h"
#include "worker/model/model.h"

namespace spearfish::tests {

struct RequestMixOptions {
  uint32_t num_requests = 16;
  uint32_t max_prompt = 200;
  uint32_t max_tokens = 32;
  uint32_t vocab = 2000;
};

// Half of the requests are greedy, half are sampled with a seed. Used by one thread.
class RequestMix {
 public:
  explicit RequestMix(const RequestMixOptions& options);

  // Runs each request alone.
  void RunReference(worker::Model& model, const Tokenizer& tokenizer);
  // Keeps several requests, chosen at random, running until the engine has made `num_steps` steps;
  // each must give the reference's tokens and log-probabilities, to the bit.
  void RunAgainstReference(worker::Model& model, const Tokenizer& tokenizer, uint64_t num_steps);

  uint64_t num_compared() const { return num_compared_; }

 private:
  struct Output {
    std::vector<TokenId> tokens;
    std::vector<float> logprobs;
    bool operator==(const Output&) const = default;
  };
  struct Live;

  worker::GenerationRequest Request(uint32_t number, uint64_t copy) const;

  const RequestMixOptions options_;
  std::vector<Output> expected_;  // [num_requests]
  uint64_t num_compared_ = 0;
};

}  // namespace spearfish::tests

#endif  // TESTS_INTEGRATION_POOL_REQUEST_MIX_H_
