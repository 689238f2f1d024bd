#include "kernels/cuda/cublas_lt.h"

#include <dlfcn.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::kernels {
namespace {

template <typename Function>
absl::Status LookUp(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cuBLASLt does not fit: it has no ", name,
                   "; install the one of the CUDA toolkit that this was built with"));
}

}  // namespace

std::string CublasLt::LibraryName() { return absl::StrCat("libcublasLt.so.", CUBLAS_VER_MAJOR); }

absl::StatusOr<CublasLt> CublasLt::Load(const std::string& library) {
  void* const loaded = dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (loaded == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("cuBLASLt not found: ", dlerror(),
                                                      "; install cuBLAS ", CUBLAS_VER_MAJOR,
                                                      " or name its folder in LD_LIBRARY_PATH"));
  }
  CublasLt out = {};
  const auto look_up = [loaded](const char* name, auto& function) {
    return LookUp(loaded, name, function);
  };
  SF_RETURN_IF_ERROR(look_up("cublasLtCreate", out.create));
  SF_RETURN_IF_ERROR(look_up("cublasLtDestroy", out.destroy));
  SF_RETURN_IF_ERROR(look_up("cublasLtGetStatusName", out.status_name));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmul", out.matmul));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmulAlgoGetHeuristic", out.matmul_algo_get_heuristic));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmulDescCreate", out.matmul_desc_create));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmulDescDestroy", out.matmul_desc_destroy));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmulDescSetAttribute", out.matmul_desc_set_attribute));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmulPreferenceCreate", out.matmul_preference_create));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatmulPreferenceDestroy", out.matmul_preference_destroy));
  SF_RETURN_IF_ERROR(
      look_up("cublasLtMatmulPreferenceSetAttribute", out.matmul_preference_set_attribute));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatrixLayoutCreate", out.matrix_layout_create));
  SF_RETURN_IF_ERROR(look_up("cublasLtMatrixLayoutDestroy", out.matrix_layout_destroy));
  return out;
}

}  // namespace spearfish::kernels
