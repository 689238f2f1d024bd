#include "kernels/cuda/cublas_lt.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spearfish::kernels {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CublasLtTest, LoadsWithoutADevice) {
  const absl::StatusOr<CublasLt> library = CublasLt::Load(CublasLt::LibraryName());
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_STREQ(library->status_name(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED");
}

TEST(CublasLtTest, AMissingLibraryIsNamedWithTheRemedy) {
  const absl::Status status = CublasLt::Load("libcublasLt.so.0").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("libcublasLt.so.0"), HasSubstr("LD_LIBRARY_PATH")));
}

TEST(CublasLtTest, ALibraryWithoutItsFunctionsIsRefused) {
  const absl::Status status = CublasLt::Load("libm.so.6").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cublasLtCreate"));
}

}  // namespace
}  // namespace spearfish::kernels
