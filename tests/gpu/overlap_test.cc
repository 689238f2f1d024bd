// Kernels start before those before them have ended (kernels/cuda/dependent_launch.cuh): a step
// whose operations overlap must give the bits of one that waits after each of them.
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/cuda_device.h"
#include "tests/gpu/gpu_fixture.h"
#include "tests/reference/moe_reference.h"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kRows = 3;
constexpr uint32_t kHidden = 512;
constexpr uint32_t kHeads = 16;
constexpr uint32_t kKvHeads = 2;
constexpr uint32_t kHeadDim = 64;
constexpr uint32_t kExperts = 16;
constexpr uint32_t kChoices = 4;
constexpr uint32_t kVocab = 3001;
constexpr uint32_t kLayers = 6;
constexpr uint32_t kBlockTokens = 16;
constexpr uint32_t kBlocksARow = 24;  // up to 384 tokens
constexpr uint32_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
const std::vector<int32_t> kContexts = {33, 384, 270};

class GpuOverlapTest : public GpuKernelTest {
 protected:
  void SetUp() override {
    GpuKernelTest::SetUp();
    if (IsSkipped()) return;
    for (Matrix* matrix : {&table_, &head_}) *matrix = RandomMatrix(kVocab, kHidden);
    qkv_weight_ = RandomMatrix(kQkv, kHidden);
    o_weight_ = RandomMatrix(kHidden, kHeads * kHeadDim);
    gate_ = RandomMatrix(kExperts, kHidden);
    norm_ = Upload(std::vector<float>(kHidden, 1.0f));
    inv_freq_ = Upload(RandomFloats(kHeadDim / 2));
    MakeCache();
    MakeExperts();
    for (void** buffer : {&residual_, &normed_, &qkv_, &q_, &attended_, &delta_, &logits_}) {
      *buffer = Upload(std::vector<float>(kRows * 4096));
    }
    ids_ = Upload(std::vector<int32_t>(kRows * kChoices));
    weights_ = Upload(std::vector<float>(kRows * kChoices));
    moe_workspace_ =
        Upload(std::vector<std::byte>(kernels_->MoeWorkspaceBytes(layout_, kRows, kChoices)));
    attention_workspace_ = Upload(std::vector<std::byte>(
        kernels_->AttentionWorkspaceBytes({.num_rows = kRows,
                                           .max_keys = kBlocksARow * kBlockTokens,
                                           .num_heads = kHeads,
                                           .num_kv_heads = kKvHeads,
                                           .head_dim = kHeadDim})));
    sample_workspace_ =
        Upload(std::vector<std::byte>(kernels_->SampleWorkspaceBytes(kRows, kVocab)));
    samples_ = Upload(std::vector<SampleRow>(kRows));
    tokens_ = Upload(std::vector<int32_t>{5, 17, 400});
    rows_ = Upload(std::vector<int32_t>{2, 0, 1});
  }

  // A decode step; each token becomes the next step's input. `after` runs after each operation.
  void Step(Stream& stream, const std::function<void()>& after) {
    kernels_->Embed({tokens_, table_, residual_, kRows}, stream);
    after();
    for (uint32_t layer = 0; layer < kLayers; ++layer) Layer(layer, stream, after);
    Norm(true, stream);
    after();
    kernels_->GatherRows({normed_, rows_, q_, kRows, kHidden}, stream);
    after();
    kernels_->Linear({q_, head_, nullptr, logits_, DType::kF32, kRows}, stream);
    after();
    kernels_->Sample({.logits = static_cast<float*>(logits_),
                      .rows = samples_,
                      .history = tokens_,
                      .biases = nullptr,
                      .out_tokens = tokens_,
                      .workspace = sample_workspace_,
                      .num_rows = kRows,
                      .vocab = kVocab},
                     stream);
    after();
  }

  // What a run of steps leaves, from the same tokens each time.
  std::vector<std::byte> Leaves(const std::function<void()>& run) {
    const std::vector<int32_t> first = {5, 17, 400};
    stream_->Copy(tokens_, first.data(), sizeof(int32_t) * first.size());
    run();
    std::vector<std::byte> left(kRows * (sizeof(int32_t) + kVocab * sizeof(float)));
    stream_->Copy(left.data(), tokens_, kRows * sizeof(int32_t));
    stream_->Copy(left.data() + kRows * sizeof(int32_t), logits_, kRows * kVocab * sizeof(float));
    stream_->Synchronize();
    return left;
  }

 private:
  Matrix RandomMatrix(uint32_t rows, uint32_t cols) {
    return {Upload(RandomBFloat16s(size_t{rows} * cols, 0.05f)), DType::kBF16, rows, cols};
  }

  void MakeCache() {
    const uint32_t num_blocks = kRows * kBlocksARow;
    const size_t plane = size_t{num_blocks} * kKvHeads * kBlockTokens * kHeadDim;
    for (void** side : {&keys_, &values_}) {
      std::vector<float> random = RandomFloats(plane * kLayers);
      *side = UploadActivations(random);
    }
    std::vector<int32_t> blocks;
    std::vector<int64_t> slots;
    std::vector<int32_t> positions;
    for (uint32_t row = 0; row < kRows; ++row) {
      for (uint32_t b = 0; b < kBlocksARow; ++b) {
        blocks.push_back(static_cast<int32_t>(b * kRows + row));
      }
      positions.push_back(kContexts[row] - 1);
      const auto last = static_cast<uint32_t>(positions[row]);
      slots.push_back(int64_t{blocks[row * kBlocksARow + last / kBlockTokens]} * kBlockTokens +
                      last % kBlockTokens);
    }
    block_tables_ = Upload(blocks);
    slots_ = Upload(slots);
    positions_ = Upload(positions);
    contexts_ = Upload(kContexts);
    starts_ = Upload(std::vector<int32_t>{0, 1, 2, 3});
    kv_ = {.k = nullptr,
           .v = nullptr,
           .num_blocks = num_blocks,
           .block_tokens = kBlockTokens,
           .num_kv_heads = kKvHeads,
           .head_dim = kHeadDim,
           .block_stride = size_t{kKvHeads} * kBlockTokens * kHeadDim * activation_bytes()};
  }

  void MakeExperts() {
    layout_ = reference::MakeExpertLayout(kHidden, 256, 4);
    std::vector<std::byte> record(layout_.record_bytes);
    std::vector<uint64_t> addresses;
    for (uint32_t e = 0; e < kExperts; ++e) {
      reference::FillRandomRecord(layout_, e + 1, record.data());
      addresses.push_back(reinterpret_cast<uint64_t>(UploadBytes(record)));
    }
    addresses_ = Upload(addresses);
  }

  KvLayer Cache(uint32_t layer) const {
    KvLayer kv = kv_;
    const uint64_t at = layer * kv.num_blocks * kv.block_stride;
    kv.k = static_cast<std::byte*>(keys_) + at;
    kv.v = static_cast<std::byte*>(values_) + at;
    return kv;
  }

  void Norm(bool adds, Stream& stream) {
    kernels_->RmsNorm({.x = adds ? delta_ : residual_,
                       .residual = adds ? residual_ : nullptr,
                       .weight = norm_,
                       .out = normed_,
                       .num_rows = kRows,
                       .dim = kHidden,
                       .eps = 1e-6f},
                      stream);
  }

  void Layer(uint32_t layer, Stream& stream, const std::function<void()>& after) {
    Norm(layer != 0, stream);
    after();
    kernels_->Linear({normed_, qkv_weight_, nullptr, qkv_, GetParam(), kRows}, stream);
    after();
    kernels_->QkNormRopeAppend({.qkv = qkv_,
                                .q_norm = norm_,
                                .k_norm = norm_,
                                .eps = 1e-6f,
                                .positions = positions_,
                                .inv_freq = inv_freq_,
                                .slots = slots_,
                                .q_out = q_,
                                .kv = Cache(layer),
                                .num_rows = kRows,
                                .num_heads = kHeads},
                               stream);
    after();
    kernels_->Attention({.q = q_,
                         .kv = Cache(layer),
                         .query_starts = starts_,
                         .context_lens = contexts_,
                         .block_tables = block_tables_,
                         .out = attended_,
                         .scale = 0.125f,
                         .num_rows = kRows,
                         .num_seqs = kRows,
                         .max_blocks = kBlocksARow,
                         .num_heads = kHeads,
                         .workspace = attention_workspace_},
                        stream);
    after();
    kernels_->Linear({attended_, o_weight_, nullptr, delta_, GetParam(), kRows}, stream);
    after();
    Norm(true, stream);
    after();
    kernels_->RouterTopk({.x = normed_,
                          .gate = gate_,
                          .k = kChoices,
                          .normalize = true,
                          .expert_ids = ids_,
                          .expert_weights = weights_,
                          .activation_counts = nullptr,
                          .num_rows = kRows},
                         stream);
    after();
    kernels_->Moe({.x = normed_,
                   .expert_ids = ids_,
                   .expert_weights = weights_,
                   .address_table = addresses_,
                   .layout = layout_,
                   .num_experts = kExperts,
                   .k = kChoices,
                   .out = delta_,
                   .workspace = moe_workspace_,
                   .num_rows = kRows},
                  stream);
    after();
  }

  Matrix table_ = {};
  Matrix head_ = {};
  Matrix qkv_weight_ = {};
  Matrix o_weight_ = {};
  Matrix gate_ = {};
  const float* norm_ = nullptr;
  const float* inv_freq_ = nullptr;
  ExpertLayout layout_ = {};
  const uint64_t* addresses_ = nullptr;
  void* keys_ = nullptr;
  void* values_ = nullptr;
  KvLayer kv_ = {};
  const int32_t* block_tables_ = nullptr;
  const int64_t* slots_ = nullptr;
  const int32_t* positions_ = nullptr;
  const int32_t* contexts_ = nullptr;
  const int32_t* starts_ = nullptr;
  void* residual_ = nullptr;
  void* normed_ = nullptr;
  void* qkv_ = nullptr;
  void* q_ = nullptr;
  void* attended_ = nullptr;
  void* delta_ = nullptr;
  void* logits_ = nullptr;
  int32_t* ids_ = nullptr;
  float* weights_ = nullptr;
  void* moe_workspace_ = nullptr;
  void* attention_workspace_ = nullptr;
  void* sample_workspace_ = nullptr;
  const SampleRow* samples_ = nullptr;
  int32_t* tokens_ = nullptr;
  const int32_t* rows_ = nullptr;
};
SF_GPU_SUITE(GpuOverlapTest);

TEST_P(GpuOverlapTest, StepsHaveTheBitsOfStepsThatWaitAfterEachOperation) {
  constexpr int kSteps = 4;
  const std::vector<std::byte> expected = Leaves([&] {
    for (int i = 0; i < kSteps; ++i) Step(*stream_, [&] { stream_->Synchronize(); });
  });
  const std::vector<std::byte> enqueued = Leaves([&] {
    for (int i = 0; i < kSteps; ++i) Step(*stream_, [] {});
  });
  EXPECT_TRUE(enqueued == expected);
  stream_->BeginCapture();
  Step(*stream_, [] {});
  const std::unique_ptr<Graph> graph = stream_->EndCapture();
  for (int repetition = 0; repetition < 20; ++repetition) {
    const std::vector<std::byte> replayed = Leaves([&] {
      for (int i = 0; i < kSteps; ++i) stream_->Launch(*graph);
    });
    ASSERT_TRUE(replayed == expected) << "repetition " << repetition;
  }
}

}  // namespace
}  // namespace spearfish::kernels
