#include "common/base/status_macros.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/check.h"

namespace spearfish {
namespace {

absl::StatusOr<std::unique_ptr<int>> Make(bool good) {
  if (good) return std::make_unique<int>(7);
  return absl::DataLossError("bad");
}

absl::Status Use(bool good, int& out) {
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<int> value, Make(good));
  out = *value;
  SF_RETURN_IF_ERROR(absl::OkStatus());
  return absl::AbortedError("reached the end");
}

TEST(StatusMacros, AssignAMoveOnlyValueAndGoOn) {
  int out = 0;
  EXPECT_EQ(Use(true, out).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(out, 7);
}

TEST(StatusMacros, ReturnTheErrorAtOnce) {
  int out = 0;
  EXPECT_EQ(Use(false, out), absl::DataLossError("bad"));
  EXPECT_EQ(out, 0);
}

TEST(CheckDeathTest, EndsTheProcessWithTheCondition) {
  EXPECT_DEATH(SF_CHECK(1 + 1 == 3), "check failed: 1 \\+ 1 == 3");
  EXPECT_DEATH(SF_CHECK_OK(absl::DataLossError("bad")), "bad");
}

}  // namespace
}  // namespace spearfish
