// The tensor-core instruction of the hand-written products.
#ifndef KERNELS_CUDA_TENSOR_CORE_CUH_
#define KERNELS_CUDA_TENSOR_CORE_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace spearfish::kernels {

// sums += A B, A 16 x 16 and B 16 x 8 of bfloat16, sums float32. With g = lane / 4, t = lane % 4 a
// lane has of A the rows g (a0, a2) and g + 8 (a1, a3), inputs 2t, 2t + 1 (a0, a1) and 2t + 8,
// 2t + 9 (a2, a3); of B the same inputs (b0, b1) of column g; of the sums rows g (0, 1) and g + 8
// (2, 3), columns 2t and 2t + 1.
__device__ __forceinline__ void MultiplyBf16(float (&sums)[4], uint32_t a0, uint32_t a1,
                                             uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// The B operand's part of a lane for 16 inputs of 8 rows (b[0], b[1]), and for the next 8 rows
// (b[2], b[3]), from shared memory. The lane gives the address of eight inputs: lanes 0 to 7 the
// first of each row, 8 to 15 the second, 16 to 31 likewise of the next rows; the single form asks 0
// to 15. Kept in order with the waits for what is read, hence volatile.
__device__ __forceinline__ void LoadColumns(uint32_t (&b)[4], uint32_t at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(at));
}
__device__ __forceinline__ void LoadColumns(uint32_t (&b)[2], uint32_t at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(b[0]), "=r"(b[1])
               : "r"(at));
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_TENSOR_CORE_CUH_
