#include "tests/bench/routing_trace.h"

namespace spearfish::bench {

void RoutingTrace::Count(size_t t, std::span<uint32_t> counts) const {
  const std::span<const uint16_t> ids = token(t);
  for (size_t i = 0; i < ids.size(); ++i) counts[i / top_k * num_experts + ids[i]] += 1;
}

RoutingTrace RecordTrace(RoutingModel& model, size_t num_prompts, size_t tokens_per_prompt) {
  RoutingTrace trace{.num_layers = model.num_layers(),
                     .num_experts = model.params().num_experts,
                     .top_k = model.params().top_k,
                     .chosen = {}};
  const size_t a_token = size_t{trace.num_layers} * trace.top_k;
  trace.chosen.resize(num_prompts * tokens_per_prompt * a_token);
  std::span<uint16_t> rest(trace.chosen);
  for (size_t prompt = 0; prompt < num_prompts; ++prompt) {
    model.NewPrompt();
    for (size_t t = 0; t < tokens_per_prompt; ++t, rest = rest.subspan(a_token)) {
      model.NextToken(rest.first(a_token));
    }
  }
  return trace;
}

std::vector<uint32_t> TotalCounts(const RoutingTrace& trace) {
  std::vector<uint32_t> counts(trace.num_records(), 0);
  for (size_t t = 0; t < trace.num_tokens(); ++t) trace.Count(t, counts);
  return counts;
}

}  // namespace spearfish::bench
