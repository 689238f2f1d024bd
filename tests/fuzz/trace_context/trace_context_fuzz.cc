// The trace context of a call's metadata: whatever a client sends, what is passed on is valid.
// Input: the parent up to the first line break, then one state a line.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/trace_context.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::multimap<std::string, std::string> metadata;
  const char* key = spearfish::kTraceparentKey;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(reinterpret_cast<const char*>(data), size), '\n')) {
    metadata.emplace(key, std::string(line));
    key = spearfish::kTracestateKey;
  }
  const spearfish::TraceContext trace = spearfish::TraceContextOf(metadata);
  if (trace.traceparent.empty()) {
    SF_CHECK(trace.tracestate.empty() && trace.trace_id().empty());
  } else {
    SF_CHECK(spearfish::IsTraceparent(trace.traceparent) && trace.trace_id().size() == 32);
    SF_CHECK(spearfish::IsTracestate(trace.tracestate));
  }
  return 0;
}
