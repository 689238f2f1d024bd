#include "kernels/cuda/dense_gemm.h"

#include <unistd.h>

#include <cstdio>

#include "absl/memory/memory.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {
namespace {

void Check(const CublasLt& library, cublasStatus_t status, const char* call, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::fprintf(stderr, "cuBLASLt call failed: %s at %s:%d: %s; the process ends, start it again\n",
               call, __FILE__, line, library.status_name(status));
  std::fflush(stderr);
  _exit(kCudaErrorExitStatus);
}
// In members of DenseGemm.
#define SF_CUBLAS(call) Check(library_, (call), #call, __LINE__)

}  // namespace

absl::StatusOr<std::unique_ptr<DenseGemm>> DenseGemm::Create() {
  SF_ASSIGN_OR_RETURN(const CublasLt library, CublasLt::Load(CublasLt::LibraryName()));
  return absl::WrapUnique(new DenseGemm(library));
}

DenseGemm::DenseGemm(const CublasLt& library) : library_(library) {
  SF_CUBLAS(library_.create(&handle_));
}

DenseGemm::~DenseGemm() {
  MutexLock lock(mutex_);
  for (auto& [shape, plan] : plans_) {
    SF_CUBLAS(library_.matrix_layout_destroy(plan.out));
    SF_CUBLAS(library_.matrix_layout_destroy(plan.x));
    SF_CUBLAS(library_.matrix_layout_destroy(plan.weight));
    SF_CUBLAS(library_.matmul_desc_destroy(plan.product));
  }
  SF_CUBLAS(library_.destroy(handle_));
}

bool DenseGemm::Fits(const LinearLaunch& launch) {
  return launch.activations == DType::kBF16 && launch.weight_dtype == DType::kBF16 &&
         launch.bias == nullptr && launch.inputs % 8 == 0 && launch.outputs % 8 == 0;
}

// The library's matrices are column-major: a row-major out[rows, outputs] is its transpose there,
// weight^T x, with the leading dimensions of the row-major matrices.
const DenseGemm::Plan& DenseGemm::PlanFor(const LinearLaunch& launch) {
  const Shape shape(launch.num_rows, launch.outputs, launch.inputs, launch.out_dtype);
  MutexLock lock(mutex_);
  if (const auto known = plans_.find(shape); known != plans_.end()) return known->second;

  const cudaDataType_t out_type = launch.out_dtype == DType::kF32 ? CUDA_R_32F : CUDA_R_16BF;
  const cublasOperation_t transposed = CUBLAS_OP_T;
  Plan plan = {};
  SF_CUBLAS(library_.matmul_desc_create(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  SF_CUBLAS(library_.matmul_desc_set_attribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSA,
                                               &transposed, sizeof(transposed)));
  SF_CUBLAS(library_.matrix_layout_create(&plan.weight, CUDA_R_16BF, launch.inputs, launch.outputs,
                                          launch.inputs));
  SF_CUBLAS(library_.matrix_layout_create(&plan.x, CUDA_R_16BF, launch.inputs, launch.num_rows,
                                          launch.inputs));
  SF_CUBLAS(library_.matrix_layout_create(&plan.out, out_type, launch.outputs, launch.num_rows,
                                          launch.outputs));
  cublasLtMatmulPreference_t preference = nullptr;
  SF_CUBLAS(library_.matmul_preference_create(&preference));
  const size_t workspace_bytes = 0;
  SF_CUBLAS(library_.matmul_preference_set_attribute(preference,
                                                     CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                     &workspace_bytes, sizeof(workspace_bytes)));
  // Rows begin where tensors do: 16 bytes is all that the contract promises.
  const uint32_t alignment = 16;
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    SF_CUBLAS(library_.matmul_preference_set_attribute(preference, attribute, &alignment,
                                                       sizeof(alignment)));
  }
  cublasLtMatmulHeuristicResult_t result = {};
  int found = 0;
  SF_CUBLAS(library_.matmul_algo_get_heuristic(handle_, plan.product, plan.weight, plan.x, plan.out,
                                               plan.out, preference, 1, &result, &found));
  if (found == 0) SF_CUBLAS(CUBLAS_STATUS_NOT_SUPPORTED);
  SF_CUBLAS(library_.matmul_preference_destroy(preference));
  plan.algorithm = result.algo;
  return plans_.emplace(shape, plan).first->second;
}

void DenseGemm::Run(const LinearLaunch& launch, cudaStream_t stream) {
  const Plan& plan = PlanFor(launch);
  const float one = 1.0f;
  const float zero = 0.0f;
  SF_CUBLAS(library_.matmul(handle_, plan.product, &one, launch.weight, plan.weight, launch.x,
                            plan.x, &zero, launch.out, plan.out, launch.out, plan.out,
                            &plan.algorithm, nullptr, 0, stream));
}

}  // namespace spearfish::kernels
