// Linear without a library: a warp per output in float32 for any shape and type, and tensor cores
// for bfloat16. Both fix the order of a sum by the shape of the matrix alone.
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/device_attribute.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kThreads = kWarps * kWarpLanes;

template <typename O>
__device__ __forceinline__ void StoreOutput(void* out, uint64_t at, float value) {
  static_cast<O*>(out)[at] = Narrow<O>(value);
}

// The output that a sum makes.
template <typename W>
__device__ __forceinline__ float Finish(const LinearLaunch& launch, uint32_t n, float sum) {
  const float bias = launch.bias == nullptr ? 0.0f : launch.bias[n];
  if constexpr (sizeof(W) == 1) return fmaf(sum, launch.scales[n], bias);
  return sum + bias;
}

// --- One warp per output, up to kRows rows together. Lane l sums the inputs 8l..8l+7, 8l+256, ...
// (one by one where rows are not 16-byte aligned), then the lanes are added.

template <typename A, typename W, typename O, uint32_t kRows>
__global__ void __launch_bounds__(kThreads) LinearKernel(const LinearLaunch launch) {
  const uint32_t n = blockIdx.x * kWarps + threadIdx.x / kWarpLanes;
  if (n >= launch.outputs) return;
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t first = blockIdx.y * kRows;
  const uint32_t rows = min(kRows, launch.num_rows - first);
  const uint32_t inputs = launch.inputs;
  const A* x = static_cast<const A*>(launch.x) + uint64_t{first} * inputs;
  const W* w = static_cast<const W*>(launch.weight) + uint64_t{n} * inputs;
  float sums[kRows] = {};
  if (inputs % 8 == 0) {
    for (uint32_t i = lane * 8; i < inputs; i += kWarpLanes * 8) {
      float weights[8];
      Load8(w + i, weights);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        if (r >= rows) break;
        float values[8];
        Load8(x + uint64_t{r} * inputs + i, values);
#pragma unroll
        for (int j = 0; j < 8; ++j) sums[r] = fmaf(values[j], weights[j], sums[r]);
      }
    }
  } else {
    for (uint32_t i = lane; i < inputs; i += kWarpLanes) {
      const float weight = Widen(w[i]);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        if (r >= rows) break;
        sums[r] = fmaf(Widen(x[uint64_t{r} * inputs + i]), weight, sums[r]);
      }
    }
  }
#pragma unroll
  for (uint32_t r = 0; r < kRows; ++r) {
    if (r >= rows) break;
    const float sum = WarpSum(sums[r]);
    if (lane == 0) {
      StoreOutput<O>(launch.out, uint64_t{first + r} * launch.outputs + n,
                     Finish<W>(launch, n, sum));
    }
  }
}

template <typename A, typename W, typename O>
void LaunchRows(const LinearLaunch& launch, cudaStream_t stream) {
  const uint32_t blocks = (launch.outputs + kWarps - 1) / kWarps;
  if (launch.num_rows == 1) {
    LinearKernel<A, W, O, 1><<<blocks, kThreads, 0, stream>>>(launch);
  } else {
    LinearKernel<A, W, O, 8>
        <<<dim3(blocks, (launch.num_rows + 7) / 8), kThreads, 0, stream>>>(launch);
  }
}

// --- Tensor cores: the weights are the A operand (16 outputs x 16 inputs), up to 8 rows of x the
// columns of B. The inputs of an instruction may come in any order as long as both operands agree:
// a lane takes 8 consecutive ones of its output, so weights are read 16 bytes at a time.

__device__ __forceinline__ uint4 LoadStreaming(const bf16* from) {
  return __ldcs(reinterpret_cast<const uint4*>(from));
}

// A warp's part of a chunk of 64 inputs: kTiles of 16 outputs.
template <uint32_t kTiles>
class ChunkWeights {
 public:
  ChunkWeights() = default;
  __device__ __forceinline__ ChunkWeights(const bf16* const (&rows)[kTiles][2], uint32_t k) {
#pragma unroll
    for (uint32_t m = 0; m < kTiles; ++m) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        words_[m][half][0] = LoadStreaming(rows[m][half] + k);
        words_[m][half][1] = LoadStreaming(rows[m][half] + k + 32);
      }
    }
  }

  // `x` is the lane's of row `row`, at the chunk.
  template <uint32_t kColumns>
  __device__ __forceinline__ void Multiply(const LinearLaunch& launch, const bf16* x, uint32_t row,
                                           float (&sums)[kTiles][kColumns][4]) const {
#pragma unroll
    for (uint32_t c = 0; c < kColumns; ++c) {
      uint4 values[2] = {};
      if (row + c * 8 < launch.num_rows) {
        const bf16* from = x + uint64_t{c} * 8 * launch.inputs;
        values[0] = *reinterpret_cast<const uint4*>(from);
        values[1] = *reinterpret_cast<const uint4*>(from + 32);
      }
#pragma unroll
      for (uint32_t m = 0; m < kTiles; ++m) {
#pragma unroll
        for (uint32_t part = 0; part < 2; ++part) {
          const uint4 a = words_[m][0][part];
          const uint4 b = words_[m][1][part];
          MultiplyBf16(sums[m][c], a.x, b.x, a.y, b.y, values[part].x, values[part].y);
          MultiplyBf16(sums[m][c], a.z, b.z, a.w, b.w, values[part].z, values[part].w);
        }
      }
    }
  }

 private:
  uint4 words_[kTiles][2][2];
};

// Warp w sums the 64-input chunks w, w + 8, ...; the eight sums are added in order. kTiles of 16
// outputs and kColumns of 8 rows share what was loaded and change nothing of that, nor does
// kBlocks, which a multiprocessor shall hold: kFewBlocks are so few that each must have more on its
// way.
constexpr uint32_t kFewBlocks = 2;
constexpr uint32_t kManyBlocks = 5;

template <typename O, uint32_t kTiles, uint32_t kColumns, uint32_t kBlocks>
__global__ void __launch_bounds__(kThreads, kBlocks) TensorLinearKernel(const LinearLaunch launch) {
  constexpr bool kDeep = kTiles == 1 && kBlocks == kFewBlocks;
  constexpr uint32_t kAhead = kDeep ? 4 : 1;  // chunks asked for before the rows are there
  constexpr int kUnroll = kDeep ? 4 : 2;
  constexpr uint32_t kStep = kWarps * 64;
  __shared__ float partial[kWarps][kTiles * 16][9];
  const uint32_t warp = threadIdx.x / kWarpLanes;
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t g = lane / 4;
  const uint32_t t = lane % 4;
  const uint32_t first_output = blockIdx.x * kTiles * 16;
  const uint32_t first_row = blockIdx.y * kColumns * 8;
  const uint32_t inputs = launch.inputs;
  const bf16* rows[kTiles][2];  // this lane's two outputs of each tile
#pragma unroll
  for (uint32_t m = 0; m < kTiles; ++m) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t n = min(first_output + m * 16 + half * 8 + g, launch.outputs - 1);
      rows[m][half] = static_cast<const bf16*>(launch.weight) + uint64_t{n} * inputs + t * 8;
    }
  }
  StartKernelAfter();
  uint32_t k = warp * 64;
  ChunkWeights<kTiles> ahead[kAhead];
#pragma unroll
  for (uint32_t i = 0; i < kAhead; ++i) {
    if (k + i * kStep < inputs) ahead[i] = {rows, k + i * kStep};
  }
  WaitForKernelsBefore();
  const bf16* x = static_cast<const bf16*>(launch.x) + uint64_t{first_row + g} * inputs + t * 8;
  float sums[kTiles][kColumns][4] = {};
#pragma unroll
  for (uint32_t i = 0; i < kAhead; ++i, k += kStep) {
    if (k < inputs) ahead[i].Multiply(launch, x + k, first_row + g, sums);
  }
#pragma unroll kUnroll
  for (; k < inputs; k += kStep) {
    ChunkWeights<kTiles>(rows, k).Multiply(launch, x + k, first_row + g, sums);
  }
#pragma unroll
  for (uint32_t c = 0; c < kColumns; ++c) {
    if (c != 0) __syncthreads();
#pragma unroll
    for (uint32_t m = 0; m < kTiles; ++m) {
      float* low = &partial[warp][m * 16 + g][t * 2];
      float* high = &partial[warp][m * 16 + 8 + g][t * 2];
      low[0] = sums[m][c][0], low[1] = sums[m][c][1];
      high[0] = sums[m][c][2], high[1] = sums[m][c][3];
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < kTiles * 16 * 8; i += kThreads) {
      const uint32_t n = first_output + i % (kTiles * 16);
      const uint32_t row = first_row + c * 8 + i / (kTiles * 16);
      if (n >= launch.outputs || row >= launch.num_rows) continue;
      float sum = launch.bias == nullptr ? 0.0f : launch.bias[n];
#pragma unroll
      for (uint32_t w = 0; w < kWarps; ++w) sum += partial[w][i % (kTiles * 16)][i / (kTiles * 16)];
      StoreOutput<O>(launch.out, uint64_t{row} * launch.outputs + n, sum);
    }
  }
}

template <typename O, uint32_t kTiles, uint32_t kColumns, uint32_t kBlocks>
void LaunchTensor(const LinearLaunch& launch, cudaStream_t stream) {
  const dim3 grid((launch.outputs + kTiles * 16 - 1) / (kTiles * 16),
                  (launch.num_rows + kColumns * 8 - 1) / (kColumns * 8));
  LaunchDependent(TensorLinearKernel<O, kTiles, kColumns, kBlocks>, {grid, dim3(kThreads)}, stream,
                  launch);
}

// Up to eight rows. With more blocks than run at once, registers to load ahead are worth more than
// another block.
template <typename O>
void LaunchFewRows(const LinearLaunch& launch, cudaStream_t stream) {
  const uint32_t processors = DeviceAttribute(cudaDevAttrMultiProcessorCount);
  const uint32_t blocks = (launch.outputs + 15) / 16;
  if (blocks <= kFewBlocks * processors) {
    LaunchTensor<O, 1, 1, kFewBlocks>(launch, stream);
  } else if (blocks <= kManyBlocks * processors) {
    LaunchTensor<O, 1, 1, kManyBlocks>(launch, stream);
  } else {
    LaunchTensor<O, 1, 1, 1>(launch, stream);
  }
}

// WithType for a matrix, which may be I8.
template <typename Visit>
void WithWeightType(DType dtype, const Visit& visit) {
  if (dtype == DType::kI8) {
    visit(int8_t{});
  } else {
    WithType(dtype, visit);
  }
}

}  // namespace

void LaunchLinear(const LinearLaunch& launch, cudaStream_t stream) {
  WithType(launch.activations, [&](auto a) {
    WithWeightType(launch.weight_dtype, [&](auto w) {
      if (launch.out_dtype == DType::kF32) {
        LaunchRows<decltype(a), decltype(w), float>(launch, stream);
      } else {
        LaunchRows<decltype(a), decltype(w), decltype(a)>(launch, stream);
      }
    });
  });
  SF_CUDA(cudaGetLastError());
}

void LaunchTensorLinear(const LinearLaunch& launch, cudaStream_t stream) {
  WithType(launch.out_dtype, [&](auto o) {
    using O = decltype(o);
    if (launch.num_rows <= 8) {
      LaunchFewRows<O>(launch, stream);
    } else if (launch.num_rows <= 16) {
      LaunchTensor<O, 1, 2, 1>(launch, stream);
    } else if (launch.num_rows <= 32) {
      LaunchTensor<O, 2, 4, 1>(launch, stream);
    } else {
      LaunchTensor<O, 2, 8, 1>(launch, stream);
    }
  });
  SF_CUDA(cudaGetLastError());
}

}  // namespace spearfish::kernels
