// Dense bfloat16 products of many rows by cuBLASLt.
#ifndef KERNELS_CUDA_DENSE_GEMM_H_
#define KERNELS_CUDA_DENSE_GEMM_H_

#include <cublasLt.h>

#include <map>
#include <memory>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/launch.h"

namespace spearfish::kernels {

// Owns the library's handle and remembers the algorithm of each shape. Algorithms that need a
// workspace are not considered: calls on different streams share nothing, and no sum is split.
// Thread-safe.
class DenseGemm {
 public:
  // FailedPrecondition where the library is not installed. The device must be current.
  static absl::StatusOr<std::unique_ptr<DenseGemm>> Create();
  ~DenseGemm();
  DenseGemm(const DenseGemm&) = delete;
  DenseGemm& operator=(const DenseGemm&) = delete;

  // Whether Run takes it: BF16 activations and weights, no bias, rows of 16 bytes.
  static bool Fits(const LinearLaunch& launch);
  void Run(const LinearLaunch& launch, cudaStream_t stream);

 private:
  // Rows, outputs, inputs, output dtype.
  using Shape = std::tuple<uint32_t, uint32_t, uint32_t, DType>;
  struct Plan {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t weight;
    cublasLtMatrixLayout_t x;
    cublasLtMatrixLayout_t out;
    cublasLtMatmulAlgo_t algorithm;
  };

  explicit DenseGemm(const CublasLt& library);

  const Plan& PlanFor(const LinearLaunch& launch);

  const CublasLt library_;
  cublasLtHandle_t handle_ = nullptr;
  Mutex mutex_;
  std::map<Shape, Plan> plans_ ABSL_GUARDED_BY(mutex_);  // never erased: references stay valid
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_DENSE_GEMM_H_
