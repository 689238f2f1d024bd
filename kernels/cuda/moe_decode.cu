// Moe for few rows: an item is a unit of a group (moe_plan.h), one block a multiprocessor. As in
// moe.cu a warp streams weights and sixteen multiply; here it starts as soon as the choices are
// known, without a word to the others, and both kernels may start while the one before them runs.
#include "kernels/cuda/moe_decode.h"

#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/device_attribute.h"
#include "kernels/cuda/moe_combine_few.cuh"
#include "kernels/cuda/moe_decode.cuh"
#include "kernels/cuda/moe_decode_plan.h"
#include "kernels/cuda/moe_groups.cuh"
#include "kernels/cuda/moe_producer.cuh"

namespace spearfish::kernels {
namespace {

// Choices that a warp groups in registers.
__device__ __forceinline__ bool FitsWarp(const MoeWork& work) {
  return work.num_pairs <= kWarpLanes;
}

// By the whole block.
__device__ __forceinline__ void InitRing(const MoeWork& work, const MoeShared& shared) {
  if (threadIdx.x == kMoeConsumers) {
    for (uint32_t s = 0; s < work.plan.num_stages; ++s) {
      InitBarrier(&shared.full[s], kCopyArrivals);
      InitBarrier(&shared.empty[s], kMoeConsumers);
    }
    PublishBarriers();
  }
  __syncthreads();
}

// The choices and the address table, which nothing has read since the step before.
__device__ __forceinline__ void AskForAddresses(const MoeWork& work) {
  constexpr uint32_t kALine = 128 / sizeof(uint64_t);
  for (uint32_t e = threadIdx.x * kALine; e < work.num_experts; e += blockDim.x * kALine) {
    PrefetchLine(work.address_table + e);
  }
  if (threadIdx.x * 32 < work.num_pairs) PrefetchLine(work.expert_ids + threadIdx.x * 32);
}

__device__ __forceinline__ void FindGroupsInBlock(const MoeWork& work, const MoeShared& shared) {
  for (uint32_t p = threadIdx.x; p < work.num_pairs; p += kMoeThreads) {
    shared.ids[p] = work.expert_ids[p];
  }
  __syncthreads();
  FindGroups(shared.ids, work.num_pairs, work.plan.max_tokens, shared.is_first, shared.members,
             shared.num_groups);
}

// The expert of the lane's choice.
__device__ __forceinline__ int32_t LaneExpert(const MoeWork& work) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  return lane < work.num_pairs ? work.expert_ids[lane] : 0;
}

template <uint32_t kBits>
__device__ __forceinline__ void StreamItems(const MoeWork& work, const MoeShared& shared,
                                            MoeItemWalk at, MoeProducer<kBits>& producer) {
  if (FitsWarp(work)) {
    const int32_t expert = LaneExpert(work);
    const uint64_t address = work.address_table[expert];
    const WarpGroups groups(expert, work.num_pairs, work.plan.max_tokens);
    for (; at.group() < groups.size(); at.Next()) {
      const auto first = static_cast<int>(groups.FirstOf(at.group()));
      const uint64_t record = __shfl_sync(kFullWarp, address, first);
      producer.StreamUnit(reinterpret_cast<const char*>(record), at.unit());
    }
    return;
  }
  for (; at.group() < *shared.num_groups; at.Next()) {
    const int32_t pair = shared.members[at.group() * work.plan.max_tokens];
    const uint64_t record = work.address_table[shared.ids[pair]];
    producer.StreamUnit(reinterpret_cast<const char*>(record), at.unit());
  }
}

template <uint32_t kBits, uint32_t kTokens>
__device__ __forceinline__ void MultiplyItems(const MoeWork& work, const MoeShared& shared,
                                              MoeItemWalk at) {
  if (FitsWarp(work)) {
    if (threadIdx.x < kWarpLanes) {
      WarpGroups(LaneExpert(work), work.num_pairs, work.plan.max_tokens)
          .Store(shared.members, shared.num_groups);
    }
    MoeConsumerBarrier();
  }
  MoeDecodeConsumer<kBits, kTokens> consumer(work, shared);
  const uint32_t num_groups = *shared.num_groups;
  for (; at.group() < num_groups; at.Next()) {
    consumer.Run(shared.members + at.group() * work.plan.max_tokens, at.unit());
  }
}

template <uint32_t kBits, uint32_t kTokens>
__global__ void __launch_bounds__(kMoeThreads, 1)
    MoeDecodeKernel(const __grid_constant__ MoeWork work) {
  extern __shared__ __align__(128) char memory[];
  const MoeShared shared(memory, work.plan);
  StartKernelAfter();
  AskForAddresses(work);
  const MoeItemWalk at(work.units, blockIdx.x, gridDim.x);  // divides: not behind the choices
  MoeProducer<kBits> producer(work, shared);
  InitRing(work, shared);
  WaitForKernelsBefore();
  if (!FitsWarp(work)) FindGroupsInBlock(work, shared);
  if (threadIdx.x >= kMoeConsumers) {
    StreamItems<kBits>(work, shared, at, producer);
  } else {
    MultiplyItems<kBits, kTokens>(work, shared, at);
  }
}

MoePlan PlanOf(const MoeLaunch& launch) {
  return PlanMoeDecode(launch.layout,
                       {launch.num_rows, launch.num_rows * launch.k, launch.num_experts},
                       DeviceAttribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}

template <uint32_t kBits, uint32_t kTokens>
void LaunchItems(const MoeWork& work, cudaStream_t stream) {
  const auto kernel = MoeDecodeKernel<kBits, kTokens>;
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(work.plan.shared_bytes)));
  const uint32_t most_items = work.num_pairs * work.units;
  const uint32_t processors = DeviceAttribute(cudaDevAttrMultiProcessorCount);
  const uint32_t grid = most_items < processors ? most_items : processors;
  LaunchDependent(kernel, {dim3(grid), dim3(kMoeThreads), work.plan.shared_bytes}, stream, work);
}

template <uint32_t kBits>
void LaunchTokens(const MoeWork& work, cudaStream_t stream) {
  if (work.plan.max_tokens == 1) {
    LaunchItems<kBits, 1>(work, stream);
  } else {
    LaunchItems<kBits, kMoeDecodeTokens>(work, stream);
  }
}

void LaunchCombine(const MoeWork& work, const MoeLaunch& launch, cudaStream_t stream) {
  const auto kernel = CombineFewKernel<bf16>;
  const LaunchShape shape = {dim3(work.layout.hidden / kCombineFewColumns, launch.num_rows),
                             dim3(kCombineFewColumns, kCombineFewWarps),
                             CombineFewSharedBytes(work.k)};
  LaunchDependent(kernel, shape, stream, work, launch.expert_weights,
                  static_cast<bf16*>(launch.out));
}

}  // namespace

bool MoeDecodeFits(const MoeLaunch& launch) {
  return launch.activations == DType::kBF16 && launch.num_rows <= kMoeSplitRows &&
         launch.num_rows * launch.k <= kMoeInBlockPairs && PlanOf(launch).num_stages > 0;
}

void LaunchMoeDecode(const MoeLaunch& launch, cudaStream_t stream) {
  MoeWork work = {};
  work.x = launch.x;
  work.expert_ids = launch.expert_ids;
  work.address_table = launch.address_table;
  work.partials = static_cast<float*>(launch.workspace);
  work.layout = launch.layout;
  work.plan = PlanOf(launch);
  work.num_experts = launch.num_experts;
  work.num_pairs = launch.num_rows * launch.k;
  work.k = launch.k;
  work.units = MoeUnits(launch.layout);
  work.slots = work.units;
  work.units_an_item = 1;
  if (launch.layout.bits == 4) {
    LaunchTokens<4>(work, stream);
  } else {
    LaunchTokens<8>(work, stream);
  }
  LaunchCombine(work, launch, stream);
}

}  // namespace spearfish::kernels
