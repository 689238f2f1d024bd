// Moe for many choices an expert (prefill, large batches on few experts): choices are sorted by
// expert, each expert's rows are multiplied by its weights while these lie in shared memory, first
// by w1 and w3, then by w2, and a last kernel adds a row's choices in order. Every sum is that of
// the decode kernel (moe.cu), in its order: a row's bits don't tell which of the two ran.
#include "kernels/cuda/device_attribute.h"
#include "kernels/cuda/moe_grouped.h"

#include "kernels/cuda/moe_grouped_w13.cuh"
#include "kernels/cuda/moe_grouped_w2.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kSumWarps = 8;
constexpr uint32_t kCombineThreads = 256;

// The sum of 64 inputs of each of eight rows as a tensor core makes it, which the zero point of
// INT4 takes off again (moe_tiles.cuh): sums[c] is that of row 2t + c. `run` is the inputs of the
// lane's row g, null behind the last.
__device__ __forceinline__ void SumInputs(const char* run, uint32_t t, float (&sums)[4]) {
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t b0 = run == nullptr ? 0 : InputWord(run + i * 32 + t * 4);
    const uint32_t b1 = run == nullptr ? 0 : InputWord(run + i * 32 + t * 4 + 16);
    AddInputs(sums, b0, b1);
  }
}

// By the lanes of g = 0: sums of eight rows of kMoeInputBytes behind their inputs.
__device__ __forceinline__ void StoreSums(const float (&sums)[4], uint32_t t, uint32_t num_rows,
                                          char* rows) {
#pragma unroll
  for (uint32_t c = 0; c < 2; ++c) {
    const uint32_t row = 2 * t + c;
    if (row < num_rows) *reinterpret_cast<float*>(rows + row * kMoeInputBytes + 128) = sums[c];
  }
}

// x in the order of the choices, run after run, so that a stage's inputs are one copy: the copy
// engine takes as long for a row's 144 bytes as for all of them.
struct GatherWork {
  const char* x;
  const int32_t* members;
  char* to;  // [runs][choices][MoeW13InputBytes]
  uint32_t x_row_bytes;
  uint32_t num_choices;
  uint32_t k;
  uint32_t runs;
};

// A warp takes eight choices of one run, and writes them in one piece: rows end amid a sector of
// the memory, which would be read to be written in parts.
template <uint32_t kBits>
__global__ void GatherInputsKernel(const __grid_constant__ GatherWork work) {
  constexpr uint32_t kRowParts = MoeW13InputBytes(kBits) / 16;  // the last has the sum
  constexpr uint32_t kRunBytes = W13Run<kBits>::kInputs * sizeof(bf16);
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t g = lane / 4;
  const uint32_t t = lane % 4;
  const uint32_t task = blockIdx.x * kSumWarps + threadIdx.x / kWarpLanes;
  const uint32_t first = task / work.runs * 8;
  const uint32_t run = task % work.runs;
  if (first >= work.num_choices) return;  // the whole warp
  const uint32_t count = min(8u, work.num_choices - first);
  const uint32_t choice = static_cast<uint32_t>(work.members[first + min(g, count - 1)]);
  const uint32_t row = choice / work.k;
  const char* const x = work.x + run * kRunBytes;
  float sums[4] = {};
  if (kBits == 4) SumInputs(g < count ? x + uint64_t{row} * work.x_row_bytes : nullptr, t, sums);
  auto* const to =
      reinterpret_cast<uint4*>(work.to) + (uint64_t{run} * work.num_choices + first) * kRowParts;
#pragma unroll
  for (uint32_t i = 0; i < 8 * kRowParts; i += kWarpLanes) {
    const uint32_t r = min((i + lane) / kRowParts, 7u);
    const uint32_t part = (i + lane) % kRowParts;
    const uint32_t from = __shfl_sync(kFullWarp, row, r * 4);
    const float even = __shfl_sync(kFullWarp, sums[0], r / 2);
    const float odd = __shfl_sync(kFullWarp, sums[1], r / 2);
    if (i + lane >= count * kRowParts) continue;
    uint4 value = {__float_as_uint(r % 2 == 0 ? even : odd), 0, 0, 0};
    if (part + 1 < kRowParts) {
      value = *reinterpret_cast<const uint4*>(x + uint64_t{from} * work.x_row_bytes + part * 16);
    }
    to[i + lane] = value;
  }
}

// Behind every row of kMoeInputBytes the sum of its inputs.
__global__ void InputSumsKernel(char* rows, uint32_t num_rows) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t g = lane / 4;
  const uint32_t t = lane % 4;
  const uint32_t first = (blockIdx.x * kSumWarps + threadIdx.x / kWarpLanes) * 8;
  if (first >= num_rows) return;  // the whole warp
  char* const here = rows + uint64_t{first} * kMoeInputBytes;
  float sums[4] = {};
  SumInputs(first + g < num_rows ? here + g * kMoeInputBytes : nullptr, t, sums);
  if (g == 0) StoreSums(sums, t, num_rows - first, here);
}

// out[row, first_column + n] = sum over i of weight[row, i] * outputs[row * k + i, n], in order.
struct CombineWork {
  const float* outputs;
  const float* weights;
  bf16* out;
  uint32_t hidden;
  uint32_t k;
  uint32_t stride;  // from one choice's outputs to the next
  uint32_t first_column;
  uint32_t columns;
};

__global__ void GroupedCombineKernel(const __grid_constant__ CombineWork work) {
  const uint32_t n = blockIdx.x * kCombineThreads + threadIdx.x;
  if (n >= work.columns) return;
  const uint64_t row = blockIdx.y;
  const float* from = work.outputs + row * work.k * work.stride + n;
  const float* weights = work.weights + row * work.k;
  float total = 0;
#pragma unroll 8
  for (uint32_t i = 0; i < work.k; ++i) {
    total = fmaf(weights[i], from[uint64_t{i} * work.stride], total);
  }
  work.out[row * work.hidden + work.first_column + n] = Narrow<bf16>(total);
}

MoeGroupedPlan PlanHere(const ExpertLayout& layout) {
  return PlanMoeGrouped(layout, DeviceAttribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}

// The parts of the workspace.
struct Workspace {
  int32_t* members;
  uint32_t* offsets;
  uint32_t* w13_items;
  uint32_t* w2_items;
  uint32_t* taken;
  char* inner;
  char* inputs;
  float* outputs;  // in their place

  Workspace(void* base, const MoeGroupedSizes& sizes) {
    char* at = static_cast<char*>(base);
    const auto take = [&at](uint64_t bytes) {
      char* const part = at;
      at += bytes;
      return part;
    };
    members = reinterpret_cast<int32_t*>(take(sizes.members));
    offsets = reinterpret_cast<uint32_t*>(take(sizes.table));
    w13_items = reinterpret_cast<uint32_t*>(take(sizes.table));
    w2_items = reinterpret_cast<uint32_t*>(take(sizes.table));
    taken = reinterpret_cast<uint32_t*>(take(sizes.taken));
    inner = take(sizes.inner);
    inputs = at;
    outputs = reinterpret_cast<float*>(at);
  }
};

uint32_t SumBlocks(uint64_t warps) {
  return static_cast<uint32_t>((warps + kSumWarps - 1) / kSumWarps);
}

template <uint32_t kBits>
void LaunchGather(const MoeLaunch& launch, const MoeGroupedWork& work, char* inputs,
                  cudaStream_t stream) {
  const GatherWork gather = {static_cast<const char*>(launch.x),
                             work.members,
                             inputs,
                             work.layout.hidden * static_cast<uint32_t>(sizeof(bf16)),
                             work.num_choices,
                             launch.k,
                             MoeW13Runs(work.layout)};
  const uint64_t warps = uint64_t{(work.num_choices + 7) / 8} * gather.runs;
  GatherInputsKernel<kBits><<<SumBlocks(warps), kSumWarps * kWarpLanes, 0, stream>>>(gather);
  SF_CUDA(cudaGetLastError());
}

void LaunchInnerSums(const MoeGroupedWork& work, cudaStream_t stream) {
  const uint32_t rows = work.units * 2 * work.num_choices;
  InputSumsKernel<<<SumBlocks((uint64_t{rows} + 7) / 8), kSumWarps * kWarpLanes, 0, stream>>>(
      work.inner, rows);
  SF_CUDA(cudaGetLastError());
}

void LaunchProduct(void (*kernel)(MoeGroupedWork), const MoeGroupedWork& work,
                   uint32_t shared_bytes, cudaStream_t stream) {
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
  kernel<<<DeviceAttribute(cudaDevAttrMultiProcessorCount), kGroupedThreads, shared_bytes,
           stream>>>(work);
  SF_CUDA(cudaGetLastError());
}

MoeGroupedWork WorkOf(const MoeLaunch& launch, const Workspace& workspace) {
  MoeGroupedWork work = {};
  work.members = workspace.members;
  work.offsets = workspace.offsets;
  work.w13_items = workspace.w13_items;
  work.w2_items = workspace.w2_items;
  work.taken = workspace.taken;
  work.address_table = launch.address_table;
  work.slots_begin = launch.slots_begin;
  work.slots_end = launch.slots_end;
  work.inputs = workspace.inputs;
  work.inner = workspace.inner;
  work.outputs = workspace.outputs;
  work.layout = launch.layout;
  work.num_experts = launch.num_experts;
  work.num_choices = launch.num_rows * launch.k;
  work.units = MoeUnits(launch.layout);
  work.strips_a_pass = MoeStripsAPass(launch.layout, launch.num_rows);
  return work;
}

void LaunchSort(const MoeLaunch& launch, const MoeGroupedWork& work, const Workspace& workspace,
                cudaStream_t stream) {
  MoeSortWork sort = {};
  sort.expert_ids = launch.expert_ids;
  sort.address_table = launch.address_table;
  sort.slots_begin = launch.slots_begin;
  sort.slots_end = launch.slots_end;
  sort.num_pairs = work.num_choices;
  sort.num_experts = launch.num_experts;
  sort.units = work.units;
  sort.strips_a_pass = work.strips_a_pass;
  sort.members = workspace.members;
  sort.offsets = workspace.offsets;
  sort.w13_items = workspace.w13_items;
  sort.w2_items = workspace.w2_items;
  sort.taken = workspace.taken;
  SortByExpertKernel<<<1, kMoeGroupedExperts, 0, stream>>>(sort);
  SF_CUDA(cudaGetLastError());
}

template <uint32_t kBits>
void LaunchW13(MoeGroupedWork work, const MoeGroupedPlan& plan, cudaStream_t stream) {
  work.stage_bytes = plan.w13_stage_bytes;
  work.num_stages = plan.w13_stages;
  LaunchProduct(GroupedW13Kernel<kBits>, work, plan.w13_shared_bytes, stream);
  if (kBits == 4) LaunchInnerSums(work, stream);
}

// As many passes as the workspace for outputs wants.
template <uint32_t kBits>
void LaunchW2(const MoeLaunch& launch, MoeGroupedWork work, const MoeGroupedPlan& plan,
              cudaStream_t stream) {
  work.stage_bytes = plan.w2_stage_bytes;
  work.num_stages = plan.w2_stages;
  const uint32_t strips = work.layout.hidden / 64;
  for (uint32_t first = 0; first < strips; first += work.strips_a_pass) {
    work.first_strip = first;
    ++work.taken;
    LaunchProduct(GroupedW2Kernel<kBits>, work, plan.w2_shared_bytes, stream);
    const uint32_t here = strips - first < work.strips_a_pass ? strips - first : work.strips_a_pass;
    const CombineWork combine = {work.outputs,
                                 launch.expert_weights,
                                 static_cast<bf16*>(launch.out),
                                 work.layout.hidden,
                                 launch.k,
                                 work.strips_a_pass * 64,
                                 first * 64,
                                 here * 64};
    GroupedCombineKernel<<<dim3((combine.columns + kCombineThreads - 1) / kCombineThreads,
                                launch.num_rows),
                           kCombineThreads, 0, stream>>>(combine);
    SF_CUDA(cudaGetLastError());
  }
}

template <uint32_t kBits>
void LaunchRows(const MoeLaunch& launch, cudaStream_t stream) {
  const MoeGroupedPlan plan = PlanHere(launch.layout);
  const Workspace workspace(launch.workspace,
                            SizesOfMoeGrouped(launch.layout, launch.num_rows, launch.k));
  const MoeGroupedWork work = WorkOf(launch, workspace);
  LaunchSort(launch, work, workspace, stream);
  LaunchGather<kBits>(launch, work, workspace.inputs, stream);
  LaunchW13<kBits>(work, plan, stream);
  LaunchW2<kBits>(launch, work, plan, stream);
}

}  // namespace

bool MoeGroupedFits(const MoeLaunch& launch) {
  const MoeChoices choices = {launch.num_rows, launch.num_rows * launch.k, launch.num_experts};
  return launch.activations == DType::kBF16 && MoeWantsGroups(choices) &&
         PlanHere(launch.layout).w13_stages != 0;
}

void LaunchMoeGrouped(const MoeLaunch& launch, cudaStream_t stream) {
  for (uint32_t first = 0; first < launch.num_rows; first += kMoeGroupedRows) {
    const uint64_t pairs = uint64_t{first} * launch.k;
    const uint64_t elements = uint64_t{first} * launch.layout.hidden;
    MoeLaunch rows = launch;
    rows.x = static_cast<const bf16*>(launch.x) + elements;
    rows.out = static_cast<bf16*>(launch.out) + elements;
    rows.expert_ids = launch.expert_ids + pairs;
    rows.expert_weights = launch.expert_weights + pairs;
    rows.num_rows =
        launch.num_rows - first < kMoeGroupedRows ? launch.num_rows - first : kMoeGroupedRows;
    if (launch.layout.bits == 4) {
      LaunchRows<4>(rows, stream);
    } else {
      LaunchRows<8>(rows, stream);
    }
  }
}

}  // namespace spearfish::kernels
