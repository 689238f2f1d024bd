#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/string_view.h"

namespace spearfish {

void CheckFailed(const char* file, int line, absl::string_view what) {
  std::fprintf(stderr, "%s:%d: check failed: %.*s\n", file, line, static_cast<int>(what.size()),
               what.data());
  std::abort();
}

}  // namespace spearfish
