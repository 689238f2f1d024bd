// W3C Trace Context: which distributed trace a call belongs to
// (https://www.w3.org/TR/trace-context).
#ifndef COMMON_BASE_TRACE_CONTEXT_H_
#define COMMON_BASE_TRACE_CONTEXT_H_

#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spearfish {

inline constexpr char kTraceparentKey[] = "traceparent";
inline constexpr char kTracestateKey[] = "tracestate";

// What a call brought, as it came: whoever only passes it on changes nothing, as it adds no span of
// its own. Both are valid or empty, and there is no state without a parent.
struct TraceContext {
  std::string traceparent;
  std::string tracestate;

  // 32 hexadecimal digits; empty without a parent.
  absl::string_view trace_id() const;
};

// Of version 00, or of a later one that begins like it.
bool IsTraceparent(absl::string_view text);
// Members may be empty; none twice, at most 32.
bool IsTracestate(absl::string_view text);

// From a call's metadata, a multimap of keys to values that have data() and size(). Two parents are
// none; several states are one list, in their order.
template <typename Metadata>
TraceContext TraceContextOf(const Metadata& metadata) {
  TraceContext trace;
  const auto parents = metadata.equal_range(kTraceparentKey);
  if (parents.first == parents.second || std::next(parents.first) != parents.second) return trace;
  const absl::string_view parent(parents.first->second.data(), parents.first->second.size());
  if (!IsTraceparent(parent)) return trace;
  trace.traceparent = std::string(parent);
  const auto states = metadata.equal_range(kTracestateKey);
  for (auto state = states.first; state != states.second; ++state) {
    absl::StrAppend(&trace.tracestate, trace.tracestate.empty() ? "" : ",",
                    absl::string_view(state->second.data(), state->second.size()));
  }
  if (!IsTracestate(trace.tracestate)) trace.tracestate.clear();
  return trace;
}

}  // namespace spearfish

#endif  // COMMON_BASE_TRACE_CONTEXT_H_
