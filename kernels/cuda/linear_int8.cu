// Linear with INT8 weights and bfloat16 activations on the tensor cores: a kernel for few rows, a
// warp of which takes an eighth of the inputs, and one for many, whose blocks keep rows of x in
// shared memory for 128 outputs. Both add in the same order, which the shape of the matrix fixes,
// so that a row's bits depend neither on the number of rows nor on the kernel: inputs come in
// chunks of 128; set s of eight is the chunks s, s + 8, ... in order, summed by the tensor cores;
// then the sets are added in order, scaled, and the bias is added.
#include <cuda_pipeline_primitives.h>

#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/device_attribute.h"
#include "kernels/cuda/int8_weights.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kSets = 8;
constexpr uint32_t kChunk = 128;
constexpr uint32_t kPart = 64;  // half a chunk; inputs are a multiple of it
constexpr uint32_t kWarps = 8;
constexpr uint32_t kThreads = kWarps * kWarpLanes;
static_assert(kWarps == kSets);

template <typename O>
__device__ __forceinline__ void StoreScaled(const LinearLaunch& launch, uint32_t row, uint32_t n,
                                            float sum) {
  const float bias = launch.bias == nullptr ? 0.0f : launch.bias[n];
  static_cast<O*>(launch.out)[uint64_t{row} * launch.outputs + n] =
      Narrow<O>(fmaf(sum, launch.scales[n], bias));
}

__device__ __forceinline__ uint4 LoadStreaming(const int8_t* from) {
  return __ldcs(reinterpret_cast<const uint4*>(from));
}

// --- Few rows: warp s sums set s. kTiles of 16 outputs and kColumns of 8 rows share what was
// loaded. kDeep is for so few blocks that each must have more on its way.

// Blocks that a multiprocessor shall hold, by what their sums leave of the registers: with five,
// all 576 blocks of 9,216 outputs run at once on 132 multiprocessors.
template <uint32_t kTiles, uint32_t kColumns, bool kDeep>
struct FewRowsPlan {
  static constexpr uint32_t kBlocks = kDeep ? 2 : kTiles == 1 ? 5 : kColumns <= 4 ? 2 : 1;
  static constexpr int kUnroll = kDeep ? 4 : kColumns <= 2 ? 2 : 1;  // chunks together
  static constexpr uint32_t kAhead = kDeep ? 3 : 1;  // chunks asked for before the rows are there
};

// A warp's part of a chunk: kTiles of 16 outputs.
template <uint32_t kTiles>
class ChunkWeights {
 public:
  ChunkWeights() = default;
  __device__ __forceinline__ ChunkWeights(const int8_t* const (&rows)[kTiles][2], uint32_t k,
                                          uint32_t inputs) {
    const bool is_whole = k + kPart < inputs;
#pragma unroll
    for (uint32_t m = 0; m < kTiles; ++m) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        words_[m][half][0] = words_[m][half][1] = {0, 0, 0, 0};  // what isn't there
        if (k < inputs) words_[m][half][0] = LoadStreaming(rows[m][half] + k);
        if (is_whole) words_[m][half][1] = LoadStreaming(rows[m][half] + k + kPart);
      }
    }
  }
  __device__ __forceinline__ Int8Operands Operands(uint32_t tile, uint32_t part) const {
    Int8Operands operands;
    operands.Widen(words_[tile][0][part], words_[tile][1][part]);
    return operands;
  }

 private:
  uint4 words_[kTiles][2][2];
};

// Adds the products of a chunk that begins at input k; `x` is the lane's of the first row.
template <uint32_t kTiles, uint32_t kColumns>
__device__ __forceinline__ void MultiplyChunk(const LinearLaunch& launch,
                                              const ChunkWeights<kTiles>& weights, const bf16* x,
                                              uint32_t row, uint32_t k,
                                              float (&sums)[kTiles][kColumns][4]) {
#pragma unroll
  for (uint32_t part = 0; part < 2; ++part) {
    const uint32_t at = k + part * kPart;
    uint4 values[kColumns][2] = {};
#pragma unroll
    for (uint32_t c = 0; c < kColumns; ++c) {
      if (row + c * 8 >= launch.num_rows || at >= launch.inputs) continue;
      const auto* from = reinterpret_cast<const uint4*>(x + uint64_t{c} * 8 * launch.inputs + at);
      values[c][0] = from[0];
      values[c][1] = from[1];
    }
#pragma unroll
    for (uint32_t m = 0; m < kTiles; ++m) {
      const Int8Operands operands = weights.Operands(m, part);
#pragma unroll
      for (uint32_t c = 0; c < kColumns; ++c) MultiplyInt8(sums[m][c], operands, values[c]);
    }
  }
}

template <typename O, uint32_t kTiles, uint32_t kColumns, bool kDeep>
__global__ void __launch_bounds__(kThreads, (FewRowsPlan<kTiles, kColumns, kDeep>::kBlocks))
    FewRowsKernel(const LinearLaunch launch) {
  using Plan = FewRowsPlan<kTiles, kColumns, kDeep>;
  constexpr int kUnroll = Plan::kUnroll;
  constexpr uint32_t kStep = kSets * kChunk;
  __shared__ float partial[kWarps][kTiles * 16][9];
  const uint32_t warp = threadIdx.x / kWarpLanes;
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t g = lane / 4;
  const uint32_t t = lane % 4;
  const uint32_t first_output = blockIdx.x * kTiles * 16;
  const uint32_t first_row = blockIdx.y * kColumns * 8;
  const uint32_t inputs = launch.inputs;
  const int8_t* weight_rows[kTiles][2];  // this lane's two outputs of each tile
#pragma unroll
  for (uint32_t m = 0; m < kTiles; ++m) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t n = min(first_output + m * 16 + half * 8 + g, launch.outputs - 1);
      weight_rows[m][half] =
          static_cast<const int8_t*>(launch.weight) + uint64_t{n} * inputs + t * 16;
    }
  }
  StartKernelAfter();
  uint32_t k = warp * kChunk;
  ChunkWeights<kTiles> ahead[Plan::kAhead];
#pragma unroll
  for (uint32_t i = 0; i < Plan::kAhead; ++i) ahead[i] = {weight_rows, k + i * kStep, inputs};
  WaitForKernelsBefore();
  const bf16* x = static_cast<const bf16*>(launch.x) + uint64_t{first_row + g} * inputs + t * 16;
  float sums[kTiles][kColumns][4] = {};
#pragma unroll
  for (uint32_t i = 0; i < Plan::kAhead; ++i, k += kStep) {
    if (k < inputs) MultiplyChunk(launch, ahead[i], x, first_row + g, k, sums);
  }
#pragma unroll kUnroll
  for (; k < inputs; k += kStep) {
    MultiplyChunk(launch, ChunkWeights<kTiles>(weight_rows, k, inputs), x, first_row + g, k, sums);
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
      float sum = 0.0f;
#pragma unroll
      for (uint32_t w = 0; w < kWarps; ++w) sum += partial[w][i % (kTiles * 16)][i / (kTiles * 16)];
      StoreScaled<O>(launch, row, n, sum);
    }
  }
}

// --- Many rows: a block has 128 outputs and kColumns * 16 rows; warp w the outputs 32 (w % 4) ..
// and the half w / 4 of the rows. A stage of the ring in shared memory holds one part of both
// operands.

constexpr uint32_t kStages = 4;
constexpr uint32_t kBlockOutputs = 128;
constexpr uint32_t kWarpTiles = 2;  // of 16 outputs
constexpr uint32_t kWeightStage = kBlockOutputs * kPart;

// The parts of 64 inputs in the order in which they are summed.
struct PartWalk {
  uint32_t k = 0;  // first input

  // True when the next part begins another set.
  __device__ __forceinline__ bool Advance(uint32_t inputs) {
    if (k % kChunk == 0 && k + kPart < inputs) {
      k += kPart;
      return false;
    }
    const uint32_t chunk = k / kChunk;
    if ((chunk + kSets) * kChunk < inputs) {
      k = (chunk + kSets) * kChunk;
      return false;
    }
    k = (chunk % kSets + 1) * kChunk;
    return true;
  }
};

// Where 16 bytes of a row lie in a stage. A row of x is 128 bytes, all banks once, and lanes read
// units 2t and 2t + 1 of neighbouring rows together: in odd rows these change places.
__device__ __forceinline__ uint32_t XUnit(uint32_t row, uint32_t unit) {
  return row * 8 + (unit ^ (row & 1));
}

template <typename O, uint32_t kColumns>
class ManyRows {
 public:
  static constexpr uint32_t kRows = kColumns * 16;
  static constexpr uint32_t kStageBytes = kWeightStage + kRows * kPart * sizeof(bf16);
  static constexpr uint32_t kSharedBytes = kStages * kStageBytes;

  __device__ __forceinline__ ManyRows(const LinearLaunch& launch, char* shared)
      : launch_(launch),
        shared_(shared),
        first_output_(blockIdx.x * kBlockOutputs),
        first_row_(blockIdx.y * kRows) {}

  __device__ __forceinline__ void Run() {
    const uint32_t num_parts = launch_.inputs / kPart;
#pragma unroll
    for (uint32_t s = 0; s < kStages - 1; ++s) LoadNext(s, s < num_parts);
    PartWalk walk;
    for (uint32_t part = 0; part < num_parts; ++part) {
      __pipeline_wait_prior(kStages - 2);
      __syncthreads();  // the part has come for all, and all are done with the one before
      LoadNext((part + kStages - 1) % kStages, part + kStages - 1 < num_parts);
      Multiply(shared_ + part % kStages * kStageBytes);
      if (walk.Advance(launch_.inputs) || part + 1 == num_parts) AddSet();
    }
    Store();
  }

 private:
  // One group of copies is committed for every call.
  __device__ __forceinline__ void LoadNext(uint32_t stage, bool is_there) {
    if (is_there) {
      LoadPart(shared_ + stage * kStageBytes, next_.k);
      next_.Advance(launch_.inputs);
    }
    __pipeline_commit();
  }

  __device__ __forceinline__ void LoadPart(char* stage, uint32_t k) {
    const auto* weight = static_cast<const char*>(launch_.weight);
    const auto* x = static_cast<const char*>(launch_.x);
    constexpr uint32_t kWeightUnits = kBlockOutputs * kPart / 16;
    constexpr uint32_t kXUnits = kRows * kPart * sizeof(bf16) / 16;
#pragma unroll
    for (uint32_t i = 0; i < kWeightUnits; i += kThreads) {
      const uint32_t unit = i + threadIdx.x;
      const uint32_t n = min(first_output_ + unit / 4, launch_.outputs - 1);
      __pipeline_memcpy_async(stage + unit * 16,
                              weight + uint64_t{n} * launch_.inputs + k + unit % 4 * 16, 16);
    }
#pragma unroll
    for (uint32_t i = 0; i < kXUnits; i += kThreads) {
      const uint32_t row = (i + threadIdx.x) / 8;
      const uint32_t unit = threadIdx.x % 8;
      const bool is_row = first_row_ + row < launch_.num_rows;  // else zeros
      const uint64_t from = uint64_t{is_row ? first_row_ + row : 0} * launch_.inputs + k;
      __pipeline_memcpy_async(stage + kWeightStage + XUnit(row, unit) * 16,
                              x + from * sizeof(bf16) + unit * 16, 16, is_row ? 0 : 16);
    }
  }

  __device__ __forceinline__ void Multiply(const char* stage) {
    const auto* weights = reinterpret_cast<const uint4*>(stage) + WarpOutput() * 4;
    const auto* x = reinterpret_cast<const uint4*>(stage + kWeightStage);
    Int8Operands operands[kWarpTiles];
#pragma unroll
    for (uint32_t m = 0; m < kWarpTiles; ++m) {
      const uint32_t low = m * 16 + G();
      operands[m].Widen(weights[low * 4 + T()], weights[(low + 8) * 4 + T()]);
    }
#pragma unroll
    for (uint32_t c = 0; c < kColumns; ++c) {
      const uint32_t row = WarpRow() + c * 8 + G();
      const uint4 values[2] = {x[XUnit(row, 2 * T())], x[XUnit(row, 2 * T() + 1)]};
#pragma unroll
      for (uint32_t m = 0; m < kWarpTiles; ++m) MultiplyInt8(sums_[m][c], operands[m], values);
    }
  }

  __device__ __forceinline__ void AddSet() {
#pragma unroll
    for (uint32_t m = 0; m < kWarpTiles; ++m) {
#pragma unroll
      for (uint32_t c = 0; c < kColumns; ++c) {
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) {
          totals_[m][c][i] += sums_[m][c][i];
          sums_[m][c][i] = 0.0f;
        }
      }
    }
  }

  __device__ __forceinline__ void Store() {
#pragma unroll
    for (uint32_t m = 0; m < kWarpTiles; ++m) {
#pragma unroll
      for (uint32_t c = 0; c < kColumns; ++c) {
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) {
          const uint32_t n = first_output_ + WarpOutput() + m * 16 + i / 2 * 8 + G();
          const uint32_t row = first_row_ + WarpRow() + c * 8 + T() * 2 + i % 2;
          if (n >= launch_.outputs || row >= launch_.num_rows) continue;
          StoreScaled<O>(launch_, row, n, totals_[m][c][i]);
        }
      }
    }
  }

  // Of the block's, the first output and row of this warp.
  __device__ __forceinline__ uint32_t WarpOutput() const {
    return threadIdx.x / kWarpLanes % 4 * kWarpTiles * 16;
  }
  __device__ __forceinline__ uint32_t WarpRow() const {
    return threadIdx.x / kWarpLanes / 4 * kColumns * 8;
  }
  __device__ __forceinline__ uint32_t G() const { return threadIdx.x % kWarpLanes / 4; }
  __device__ __forceinline__ uint32_t T() const { return threadIdx.x % 4; }

  const LinearLaunch& launch_;
  char* const shared_;
  const uint32_t first_output_;
  const uint32_t first_row_;
  PartWalk next_;  // to load
  float sums_[kWarpTiles][kColumns][4] = {};
  float totals_[kWarpTiles][kColumns][4] = {};
};

template <typename O, uint32_t kColumns>
__global__ void __launch_bounds__(kThreads)
    ManyRowsKernel(const __grid_constant__ LinearLaunch launch) {
  extern __shared__ __align__(128) char int8_stages[];
  ManyRows<O, kColumns>(launch, int8_stages).Run();
}

uint32_t Blocks(uint32_t count, uint32_t each) { return (count + each - 1) / each; }

template <typename O, uint32_t kTiles, uint32_t kColumns, bool kDeep = false>
void LaunchFewRows(const LinearLaunch& launch, cudaStream_t stream) {
  const dim3 grid(Blocks(launch.outputs, kTiles * 16), Blocks(launch.num_rows, kColumns * 8));
  LaunchDependent(FewRowsKernel<O, kTiles, kColumns, kDeep>, {grid, dim3(kThreads)}, stream,
                  launch);
}

// At most two blocks of 16 outputs a multiprocessor.
bool HasFewOutputs(uint32_t outputs) {
  return Blocks(outputs, 16) <= 2 * DeviceAttribute(cudaDevAttrMultiProcessorCount);
}

template <typename O, uint32_t kColumns>
void LaunchManyRows(const LinearLaunch& launch, cudaStream_t stream) {
  using Work = ManyRows<O, kColumns>;
  const auto kernel = ManyRowsKernel<O, kColumns>;
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(Work::kSharedBytes)));
  const dim3 grid(Blocks(launch.outputs, kBlockOutputs), Blocks(launch.num_rows, Work::kRows));
  kernel<<<grid, kThreads, Work::kSharedBytes, stream>>>(launch);
}

// From how many rows on a block of many is worth it. A block of few reads all its rows of x for 16
// or 32 outputs, of which the second-level cache soon has more to give than of weights; a block of
// many reads them for 128, but there must be enough such blocks for the multiprocessors.
uint32_t LeastManyRows(uint32_t outputs) {
  if (outputs >= 16384) return 17;
  return outputs >= 8192 ? 33 : 65;
}
constexpr uint32_t kEnoughBlocks = 128;  // about one a multiprocessor

template <typename O>
void LaunchInt8(const LinearLaunch& launch, cudaStream_t stream) {
  const uint32_t rows = launch.num_rows;
  const uint32_t large_blocks =
      Blocks(launch.outputs, kBlockOutputs) * Blocks(rows, ManyRows<O, 8>::kRows);
  if (rows >= LeastManyRows(launch.outputs)) {
    if (rows > ManyRows<O, 4>::kRows && large_blocks >= kEnoughBlocks) {
      LaunchManyRows<O, 8>(launch, stream);
    } else {
      LaunchManyRows<O, 4>(launch, stream);
    }
  } else if (rows <= 8 && HasFewOutputs(launch.outputs)) {
    LaunchFewRows<O, 1, 1, true>(launch, stream);
  } else if (rows <= 4) {
    LaunchFewRows<O, 1, 1>(launch, stream);
  } else if (rows <= 8) {
    LaunchFewRows<O, 2, 1>(launch, stream);
  } else if (rows <= 16 && HasFewOutputs(launch.outputs)) {
    LaunchFewRows<O, 1, 2, true>(launch, stream);
  } else if (rows <= 16) {
    LaunchFewRows<O, 2, 2>(launch, stream);
  } else if (rows <= 32) {
    LaunchFewRows<O, 2, 4>(launch, stream);
  } else {
    LaunchFewRows<O, 2, 8>(launch, stream);
  }
}

}  // namespace

void LaunchTensorLinearInt8(const LinearLaunch& launch, cudaStream_t stream) {
  WithType(launch.out_dtype, [&](auto o) { LaunchInt8<decltype(o)>(launch, stream); });
  SF_CUDA(cudaGetLastError());
}

}  // namespace spearfish::kernels
