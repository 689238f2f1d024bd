// Early return on error for absl::Status and absl::StatusOr.
#ifndef COMMON_BASE_STATUS_MACROS_H_
#define COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define SF_CONCAT_INNER(a, b) a##b
#define SF_CONCAT(a, b) SF_CONCAT_INNER(a, b)

// Returns the status of `expr` from the enclosing function unless it is OK.
#define SF_RETURN_IF_ERROR(expr)           \
  do {                                     \
    absl::Status sf_status = (expr);       \
    if (!sf_status.ok()) return sf_status; \
  } while (false)

// Evaluates `expr` (a StatusOr), returns its status if it holds none, else assigns the value.
#define SF_ASSIGN_OR_RETURN(lhs, expr) \
  SF_ASSIGN_OR_RETURN_INNER(SF_CONCAT(sf_statusor_, __LINE__), lhs, expr)
#define SF_ASSIGN_OR_RETURN_INNER(var, lhs, expr)                                         \
  auto var = (expr);                             /* NOLINT(bugprone-macro-parentheses) */ \
  if (!var.ok()) return std::move(var).status(); /* NOLINT(bugprone-macro-parentheses) */ \
  lhs = *std::move(var)                          /* NOLINT(bugprone-macro-parentheses) */

#endif  // COMMON_BASE_STATUS_MACROS_H_
