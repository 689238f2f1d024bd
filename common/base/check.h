// SF_CHECK: a broken invariant ends the process with file, line and a message.
// For whatever the outside can cause, return an absl::Status instead.
#ifndef COMMON_BASE_CHECK_H_
#define COMMON_BASE_CHECK_H_

#include "absl/strings/string_view.h"

namespace spearfish {

[[noreturn]] void CheckFailed(const char* file, int line, absl::string_view what);

}  // namespace spearfish

#define SF_CHECK(condition)                                     \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::spearfish::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

// `status_expr` is an absl::Status.
#define SF_CHECK_OK(status_expr)                                                         \
  do {                                                                                   \
    if (const auto& sf_check_status = (status_expr); !sf_check_status.ok()) [[unlikely]] \
      ::spearfish::CheckFailed(__FILE__, __LINE__, sf_check_status.ToString());          \
  } while (false)

#endif  // COMMON_BASE_CHECK_H_
