// Which experts a run of tokens was routed to.
#ifndef TESTS_BENCH_ROUTING_TRACE_H_
#define TESTS_BENCH_ROUTING_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/bench/routing_model.h"

namespace spearfish::bench {

struct RoutingTrace {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;  // per layer
  uint32_t top_k = 0;
  std::vector<uint16_t> chosen;  // [num_tokens, num_layers, top_k]

  size_t num_tokens() const { return chosen.size() / (size_t{num_layers} * top_k); }
  uint32_t num_records() const { return num_layers * num_experts; }
  std::span<const uint16_t> token(size_t t) const {  // [num_layers, top_k]
    const size_t size = size_t{num_layers} * top_k;
    return std::span(chosen).subspan(t * size, size);
  }
  // Adds the token's activations to counts [num_layers, num_experts].
  void Count(size_t t, std::span<uint32_t> counts) const;
};

// New prompts of so many tokens each, one after the other.
RoutingTrace RecordTrace(RoutingModel& model, size_t num_prompts, size_t tokens_per_prompt);

// [num_layers, num_experts] over the whole trace.
std::vector<uint32_t> TotalCounts(const RoutingTrace& trace);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_ROUTING_TRACE_H_
