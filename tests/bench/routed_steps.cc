#include "tests/bench/routed_steps.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "absl/memory/memory.h"
#include "common/base/bfloat16.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace spearfish::bench {
namespace {

constexpr float kChosen = 8.0f;

// `value` in the activation type, element number `index` of `out`.
void Store(DType dtype, void* out, size_t index, float value) {
  if (dtype == DType::kF32) {
    static_cast<float*>(out)[index] = value;
  } else {
    SF_CHECK(dtype == DType::kBF16);
    static_cast<BFloat16*>(out)[index] = ToBFloat16(value);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RoutedSteps>> RoutedSteps::Create(const Parts& parts,
                                                                 uint32_t top_k) {
  auto steps = absl::WrapUnique(new RoutedSteps(parts, top_k));
  SF_RETURN_IF_ERROR(steps->Allocate());
  steps->FillConstants();
  parts.stream.BeginCapture();
  steps->Enqueue(parts.stream);
  steps->graph_ = parts.stream.EndCapture();
  return steps;
}

absl::Status RoutedSteps::Allocate() {
  const size_t experts = parts_.store.num_experts();
  const size_t layers = parts_.store.num_moe_layers();
  const kernels::ExpertLayout& layout = parts_.store.layout();
  kernels::Device& device = parts_.device;
  const auto allocate = [&](std::unique_ptr<kernels::Buffer>& buffer,
                            size_t bytes) -> absl::Status {
    SF_ASSIGN_OR_RETURN(buffer, device.Allocate(bytes, "the steps"));
    return absl::OkStatus();
  };
  SF_RETURN_IF_ERROR(allocate(buffers_.gate, experts * experts * sizeof(BFloat16)));
  SF_RETURN_IF_ERROR(allocate(buffers_.routes, layers * experts * element_bytes()));
  SF_RETURN_IF_ERROR(allocate(buffers_.x, layout.hidden * element_bytes()));
  SF_RETURN_IF_ERROR(allocate(buffers_.ids, layers * top_k_ * sizeof(int32_t)));
  SF_RETURN_IF_ERROR(allocate(buffers_.weights, layers * top_k_ * sizeof(float)));
  SF_RETURN_IF_ERROR(allocate(buffers_.outputs, layers * layout.hidden * element_bytes()));
  SF_RETURN_IF_ERROR(
      allocate(buffers_.workspace, parts_.kernels.MoeWorkspaceBytes(layout, 1, top_k_)));
  SF_ASSIGN_OR_RETURN(buffers_.host_routes, device.AllocateHost(buffers_.routes->bytes()));
  return absl::OkStatus();
}

void RoutedSteps::FillConstants() {
  const size_t experts = parts_.store.num_experts();
  std::vector<BFloat16> gate(experts * experts, ToBFloat16(0.0f));
  for (size_t e = 0; e < experts; ++e) gate[e * experts + e] = ToBFloat16(1.0f);
  std::vector<std::byte> x(buffers_.x->bytes());
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < x.size() / element_bytes(); ++i) {
    Store(parts_.kernels.activation_dtype(), x.data(), i, normal(random));
  }
  parts_.stream.Copy(buffers_.gate->data(), gate.data(), buffers_.gate->bytes());
  parts_.stream.Copy(buffers_.x->data(), x.data(), x.size());
  parts_.stream.Synchronize();
}

void RoutedSteps::Enqueue(kernels::Stream& stream) {
  const uint32_t experts = parts_.store.num_experts();
  const kernels::ExpertLayout& layout = parts_.store.layout();
  stream.Copy(buffers_.routes->data(), buffers_.host_routes->data(), buffers_.routes->bytes());
  for (uint32_t layer = 0; layer < parts_.store.num_moe_layers(); ++layer) {
    int32_t* const ids = buffers_.ids->as<int32_t>() + size_t{layer} * top_k_;
    float* const weights = buffers_.weights->as<float>() + size_t{layer} * top_k_;
    parts_.kernels.RouterTopk(
        {.x = buffers_.routes->as<std::byte>() + size_t{layer} * experts * element_bytes(),
         .gate = {buffers_.gate->data(), DType::kBF16, experts, experts},
         .k = top_k_,
         .normalize = true,
         .expert_ids = ids,
         .expert_weights = weights,
         .activation_counts = parts_.store.counters(LayerId{layer}),
         .num_rows = 1},
        stream);
    parts_.kernels.Moe(
        {.x = buffers_.x->data(),
         .expert_ids = ids,
         .expert_weights = weights,
         .address_table = parts_.store.addresses(LayerId{layer}),
         .layout = layout,
         .num_experts = experts,
         .k = top_k_,
         .out = buffers_.outputs->as<std::byte>() + size_t{layer} * layout.hidden * element_bytes(),
         .workspace = buffers_.workspace->data(),
         .num_rows = 1},
        stream);
  }
}

void RoutedSteps::Run(std::span<const uint16_t> chosen) {
  const size_t experts = parts_.store.num_experts();
  SF_CHECK(chosen.size() == size_t{parts_.store.num_moe_layers()} * top_k_);
  // No step runs: the last one was waited for.
  std::memset(buffers_.host_routes->data(), 0, buffers_.host_routes->bytes());
  for (size_t i = 0; i < chosen.size(); ++i) {
    Store(parts_.kernels.activation_dtype(), buffers_.host_routes->data(),
          i / top_k_ * experts + chosen[i], kChosen);
  }
  parts_.pool.BeginStep(parts_.stream);
  parts_.stream.Launch(*graph_);
  parts_.pool.EndStep(parts_.stream);
  parts_.pool.PlanNext();  // while the device works
  parts_.stream.Synchronize();
  parts_.pool.FinishStep(1);
}

std::vector<std::byte> RoutedSteps::Outputs() {
  std::vector<std::byte> outputs(buffers_.outputs->bytes());
  parts_.stream.Copy(outputs.data(), buffers_.outputs->data(), outputs.size());
  parts_.stream.Synchronize();
  return outputs;
}

}  // namespace spearfish::bench
