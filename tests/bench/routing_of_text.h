// Routing of a real checkpoint over real text.
#ifndef TESTS_BENCH_ROUTING_OF_TEXT_H_
#define TESTS_BENCH_ROUTING_OF_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "tests/bench/routing_trace.h"

namespace spearfish::bench {

// The first max_tokens of the text file, as the CPU device routes them.
absl::StatusOr<RoutingTrace> TraceText(const std::string& checkpoint, const std::string& text,
                                       size_t max_tokens);

// Tokens first to first + num_tokens - 1.
RoutingTrace Part(const RoutingTrace& trace, size_t first, size_t num_tokens);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_ROUTING_OF_TEXT_H_
