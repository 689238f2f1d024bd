// Moe for many choices an expert (prefill, large batches on few experts): choices are sorted by
// expert, each expert's rows are multiplied by its weights while these lie in shared memory, first
// by w1 and w3, then by w2, and a last kernel adds a row's choices in order. Every sum is that of
// the decode kernel (moe.cu), in its order: a row's bits don't tell which of the two ran.
#include "kernels/cuda/moe_grouped.h"

#include "kernels/cuda/moe_grouped_w13.cuh"
#include "kernels/cuda/moe_grouped_w2.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kSumWarps = 8;
constexpr uint32_t kCombineThreads = 256;

// 64 inputs of every row, and their sum as a tensor core makes it, which the zero point of INT4
// takes off again (moe_tiles.cuh). A warp takes eight rows of one run.
struct InputSumsWork {
  const char* from;
  uint64_t from_row_bytes;
  uint32_t from_run_bytes;
  char* to;  // [rows][runs][kMoeInputBytes]; may be `from`
  uint32_t num_rows;
  uint32_t runs;
};

__global__ void InputSumsKernel(const __grid_constant__ InputSumsWork work) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t g = lane / 4;
  const uint32_t t = lane % 4;
  const uint32_t task = blockIdx.x * kSumWarps + threadIdx.x / kWarpLanes;
  const uint32_t first_row = task / work.runs * 8;
  const uint32_t run = task % work.runs;
  if (first_row >= work.num_rows) return;  // the whole warp
  const uint64_t row_bytes = uint64_t{work.runs} * kMoeInputBytes;
  char* to = work.to + run * kMoeInputBytes;
  float sums[4] = {};
  const uint32_t row = first_row + g;
  const bool has_row = row < work.num_rows;
  const char* from = work.from + row * work.from_row_bytes + run * work.from_run_bytes + t * 4;
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t b0 = has_row ? InputWord(from + i * 32) : 0;
    const uint32_t b1 = has_row ? InputWord(from + i * 32 + 16) : 0;
    AddInputs(sums, b0, b1);
    if (has_row && work.to != work.from) {
      auto* words = reinterpret_cast<uint32_t*>(to + row * row_bytes + i * 32 + t * 4);
      words[0] = b0;
      words[4] = b1;
    }
  }
  if (g != 0) return;
#pragma unroll
  for (uint32_t c = 0; c < 2; ++c) {
    const uint32_t column = first_row + 2 * t + c;
    if (column >= work.num_rows) continue;
    *reinterpret_cast<float*>(to + column * row_bytes + 128) = sums[c];
  }
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

uint32_t DeviceAttribute(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  SF_CUDA(cudaGetDevice(&device));
  SF_CUDA(cudaDeviceGetAttribute(&value, attribute, device));
  return static_cast<uint32_t>(value);
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
  char* inputs;
  char* inner;
  float* outputs;

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
    inputs = take(sizes.inputs);
    inner = take(sizes.inner);
    outputs = reinterpret_cast<float*>(take(sizes.outputs));
  }
};

void LaunchInputSums(const InputSumsWork& work, cudaStream_t stream) {
  const uint32_t tasks = (work.num_rows + 7) / 8 * work.runs;
  InputSumsKernel<<<(tasks + kSumWarps - 1) / kSumWarps, kSumWarps * kWarpLanes, 0, stream>>>(work);
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
  const ExpertLayout& layout = launch.layout;
  const uint32_t run_inputs = layout.bits == 4 ? W13Run<4>::kInputs : W13Run<8>::kInputs;
  MoeGroupedWork work = {};
  work.members = workspace.members;
  work.offsets = workspace.offsets;
  work.w13_items = workspace.w13_items;
  work.w2_items = workspace.w2_items;
  work.address_table = launch.address_table;
  work.slots_begin = launch.slots_begin;
  work.slots_end = launch.slots_end;
  if (layout.bits == 4) {
    work.inputs = workspace.inputs;
    work.input_run_bytes = kMoeInputBytes;
    work.input_row_bytes = uint64_t{layout.hidden / run_inputs} * kMoeInputBytes;
  } else {
    work.inputs = static_cast<const char*>(launch.x);
    work.input_run_bytes = run_inputs * static_cast<uint32_t>(sizeof(bf16));
    work.input_row_bytes = uint64_t{layout.hidden} * sizeof(bf16);
  }
  work.inner = workspace.inner;
  work.outputs = workspace.outputs;
  work.layout = layout;
  work.num_experts = launch.num_experts;
  work.k = launch.k;
  work.units = MoeUnits(layout);
  work.strips_a_pass = MoeStripsAPass(layout, launch.num_rows);
  return work;
}

void LaunchSort(const MoeLaunch& launch, const MoeGroupedWork& work, const Workspace& workspace,
                cudaStream_t stream) {
  MoeSortWork sort = {};
  sort.expert_ids = launch.expert_ids;
  sort.address_table = launch.address_table;
  sort.slots_begin = launch.slots_begin;
  sort.slots_end = launch.slots_end;
  sort.num_pairs = launch.num_rows * launch.k;
  sort.num_experts = launch.num_experts;
  sort.units = work.units;
  sort.strips_a_pass = work.strips_a_pass;
  sort.members = workspace.members;
  sort.offsets = workspace.offsets;
  sort.w13_items = workspace.w13_items;
  sort.w2_items = workspace.w2_items;
  SortByExpertKernel<<<1, kMoeGroupedExperts, 0, stream>>>(sort);
  SF_CUDA(cudaGetLastError());
}

template <uint32_t kBits>
void LaunchW13(const MoeLaunch& launch, MoeGroupedWork work, const MoeGroupedPlan& plan,
               cudaStream_t stream) {
  const uint32_t hidden = work.layout.hidden;
  if (kBits == 4) {
    LaunchInputSums({static_cast<const char*>(launch.x), uint64_t{hidden} * sizeof(bf16),
                     kMoeUnitChannels * sizeof(bf16), const_cast<char*>(work.inputs),
                     launch.num_rows, hidden / 64},
                    stream);
  }
  work.stage_bytes = plan.w13_stage_bytes;
  work.num_stages = plan.w13_stages;
  LaunchProduct(GroupedW13Kernel<kBits>, work, plan.w13_shared_bytes, stream);
  if (kBits == 4) {
    LaunchInputSums({work.inner, uint64_t{work.units} * kMoeInputBytes, kMoeInputBytes, work.inner,
                     2 * launch.num_rows * launch.k, work.units},
                    stream);
  }
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
    LaunchProduct(GroupedW2Kernel<kBits>, work, plan.w2_shared_bytes, stream);
    const uint32_t here = strips - first < work.strips_a_pass ? strips - first : work.strips_a_pass;
    const CombineWork combine = {work.outputs,
                                 launch.expert_weights,
                                 static_cast<bf16*>(launch.out),
                                 work.layout.hidden,
                                 work.k,
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
  LaunchW13<kBits>(launch, work, plan, stream);
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
