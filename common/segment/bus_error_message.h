// What a process says when memory that it has mapped is gone.
#ifndef COMMON_SEGMENT_BUS_ERROR_MESSAGE_H_
#define COMMON_SEGMENT_BUS_ERROR_MESSAGE_H_

#include "absl/strings/string_view.h"

namespace spearfish {

// From now on a SIGBUS for a page beyond the end of a mapped file (somebody truncated the segment,
// which no seal can forbid on a file with a name) writes `message` and a newline to stderr and ends
// the process with status 128 + SIGBUS, so that a launcher starts it again. Any other SIGBUS ends
// it as by default. A later call replaces the message. Any thread.
void ExplainBusErrors(absl::string_view message);

}  // namespace spearfish

#endif  // COMMON_SEGMENT_BUS_ERROR_MESSAGE_H_
