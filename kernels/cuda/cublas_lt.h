// cuBLASLt's functions, looked up while running: a binary with the CUDA backend starts, and serves
// on the CPU, where the library is not installed.
#ifndef KERNELS_CUDA_CUBLAS_LT_H_
#define KERNELS_CUDA_CUBLAS_LT_H_

#include <cublasLt.h>

#include <string>

#include "absl/status/statusor.h"

namespace spearfish::kernels {

// The functions under their own names without the prefix. The library stays loaded until the
// process ends.
struct CublasLt {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetStatusName) status_name;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) matmul_algo_get_heuristic;
  decltype(&cublasLtMatmulDescCreate) matmul_desc_create;
  decltype(&cublasLtMatmulDescDestroy) matmul_desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) matmul_desc_set_attribute;
  decltype(&cublasLtMatmulPreferenceCreate) matmul_preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) matmul_preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) matmul_preference_set_attribute;
  decltype(&cublasLtMatrixLayoutCreate) matrix_layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) matrix_layout_destroy;

  // The library's name for the linker, of the major version that this was built with.
  static std::string LibraryName();

  // FailedPrecondition when there is no such library or it lacks a function.
  static absl::StatusOr<CublasLt> Load(const std::string& library);
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CUBLAS_LT_H_
