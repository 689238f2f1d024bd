#include "worker/model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "kernels/cpu/cpu_device.h"
#include "tests/support/synthetic_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "worker/model/int8_row.h"

namespace spearfish::worker {
namespace {

class WeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CpuDevice::Create({.budget_bytes = 64 * kMiB});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    auto stream = device_->CreateStream("test");
    ASSERT_TRUE(stream.ok()) << stream.status();
    stream_ = *std::move(stream);
  }

  absl::StatusOr<ModelWeights> Load(const tests::SyntheticCheckpoint& checkpoint,
                                    const tests::SyntheticOptions& options,
                                    const DenseOptions& dense = {}) {
    tests::WriteSyntheticCheckpoint(checkpoint, options, dir_.path());
    auto opened = Checkpoint::Open(dir_.path());
    if (!opened.ok()) return opened.status();
    checkpoint_ = *std::move(opened);
    return ModelWeights::Load(*checkpoint_, *device_, *stream_, dense);
  }
  absl::StatusOr<ModelWeights> Load(const tests::SyntheticOptions& options,
                                    const DenseOptions& dense = {}) {
    return Load(tests::MakeSyntheticCheckpoint(options), options, dense);
  }

  std::vector<float> Source(const std::string& name) {
    const auto tensor = checkpoint_->Find(name);
    EXPECT_TRUE(tensor.ok()) << tensor.status();
    std::vector<float> values(static_cast<size_t>(tensor->num_elements()));
    EXPECT_TRUE(WidenToFloat(*tensor, values).ok());
    return values;
  }

  tests::TempDir dir_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<kernels::Stream> stream_;
};

TEST_F(WeightsTest, BFloat16MatricesStayAsTheyAre) {
  const auto weights = Load({});
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->embedding.dtype, DType::kBF16);
  const auto tensor = checkpoint_->Find("model.embed_tokens.weight");
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(std::memcmp(weights->embedding.data, tensor->bytes.data(), tensor->bytes.size()), 0);
  EXPECT_EQ(weights->layers[0].router.dtype, DType::kBF16);
}

TEST_F(WeightsTest, Float16AndFloat32BecomeFloat32) {
  for (const DType dtype : {DType::kF16, DType::kF32}) {
    const auto weights = Load({.dtype = dtype});
    ASSERT_TRUE(weights.ok()) << weights.status();
    EXPECT_EQ(weights->lm_head.dtype, DType::kF32);
    const std::vector<float> source = Source("lm_head.weight");
    const auto* loaded = static_cast<const float*>(weights->lm_head.data);
    EXPECT_TRUE(std::equal(source.begin(), source.end(), loaded));
  }
}

TEST_F(WeightsTest, QueriesKeysAndValuesAreOneMatrixInThatOrder) {
  const auto weights = Load({.attention_bias = true, .dtype = DType::kF32});
  ASSERT_TRUE(weights.ok()) << weights.status();
  const AttentionWeights& attention = weights->layers[1].attention;
  EXPECT_EQ(attention.qkv.rows, (4u + 2 * 2) * 32);
  EXPECT_EQ(attention.qkv.cols, 128u);
  const auto* matrix = static_cast<const float*>(attention.qkv.data);
  const float* bias = attention.qkv_bias;
  for (const std::string part : {"q_proj", "k_proj", "v_proj"}) {
    const std::string prefix = "model.layers.1.self_attn." + part;
    const std::vector<float> rows = Source(prefix + ".weight");
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), matrix)) << part;
    matrix += rows.size();
    const std::vector<float> biases = Source(prefix + ".bias");
    EXPECT_TRUE(std::equal(biases.begin(), biases.end(), bias)) << part;
    bias += biases.size();
  }
  EXPECT_NE(attention.o_bias, nullptr);
}

TEST_F(WeightsTest, NormsAreFloat32) {
  const auto weights = Load({});
  ASSERT_TRUE(weights.ok()) << weights.status();
  const std::vector<float> source = Source("model.layers.1.post_attention_layernorm.weight");
  EXPECT_TRUE(std::equal(source.begin(), source.end(), weights->layers[1].post_attention_norm));
}

TEST_F(WeightsTest, ATiedHeadIsTheEmbedding) {
  const auto untied = Load({});
  ASSERT_TRUE(untied.ok()) << untied.status();
  EXPECT_NE(untied->lm_head.data, untied->embedding.data);
  const auto tied = Load({.tie_word_embeddings = true});
  ASSERT_TRUE(tied.ok()) << tied.status();
  EXPECT_EQ(tied->lm_head.data, tied->embedding.data);
  // Either way the device holds one such table: an embedding of its own stays with the host.
  EXPECT_EQ(tied->memory->bytes(), untied->memory->bytes());
  EXPECT_EQ(tied->host_memory, nullptr);
  EXPECT_EQ(untied->embedding.data, untied->host_memory->data());
}

TEST_F(WeightsTest, DenseLayersHaveAnMlpAndNoRouter) {
  const auto weights = Load({.num_layers = 3, .mlp_only_layers = {1}});
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->layers[1].router.data, nullptr);
  EXPECT_EQ(weights->layers[1].mlp.gate_up.rows, 512u);
  EXPECT_EQ(weights->layers[0].mlp.down.data, nullptr);
  EXPECT_EQ(weights->layers[0].router.rows, 8u);
}

// Replaces one element of the tensor.
void Poison(tests::SyntheticCheckpoint& checkpoint, const std::string& name, size_t element,
            float value) {
  for (tests::NamedTensor& tensor : checkpoint.tensors) {
    if (tensor.name != name) continue;
    const std::string bytes = tests::EncodeFloats(tensor.dtype, std::vector<float>{value});
    tensor.bytes.replace(element * bytes.size(), bytes.size(), bytes);
    return;
  }
  FAIL() << "no tensor " << name;
}

TEST_F(WeightsTest, NamesAWeightThatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const float value : {nan, infinity, -infinity}) {
      for (const std::string name :
           {"model.layers.1.self_attn.v_proj.weight", "model.norm.weight"}) {
        const tests::SyntheticOptions options{.dtype = dtype};
        tests::SyntheticCheckpoint checkpoint = tests::MakeSyntheticCheckpoint(options);
        const size_t element = name == "model.norm.weight" ? 77 : 277;
        Poison(checkpoint, name, element, value);
        for (const uint32_t bits : {16u, 8u}) {
          const absl::Status status = Load(checkpoint, options, {.bits = bits}).status();
          EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
          EXPECT_THAT(std::string(status.message()),
                      testing::HasSubstr(absl::StrCat("element ", element, " of ", name)));
        }
      }
    }
  }
}

// Row by row what QuantizeInt8Row makes of the tensors, one after the other.
void ExpectQuantized(const kernels::Matrix& matrix, const std::vector<float>& source) {
  ASSERT_EQ(matrix.dtype, DType::kI8);
  ASSERT_EQ(source.size(), size_t{matrix.rows} * matrix.cols);
  std::vector<int8_t> q(matrix.cols);
  for (size_t n = 0; n < matrix.rows; ++n) {
    const float scale =
        QuantizeInt8Row(std::span(source).subspan(n * matrix.cols, matrix.cols), q.data());
    EXPECT_EQ(matrix.scales[n], scale) << "row " << n;
    const auto* row = static_cast<const int8_t*>(matrix.data) + n * matrix.cols;
    EXPECT_TRUE(std::equal(q.begin(), q.end(), row)) << "row " << n;
  }
}

TEST_F(WeightsTest, EightBitsQuantiseWhatLinearMultipliesWith) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const tests::SyntheticOptions options{.mlp_only_layers = {1}, .dtype = dtype};
    const auto weights = Load(options, {.bits = 8});
    ASSERT_TRUE(weights.ok()) << weights.status();
    const std::string prefix = "model.layers.0.self_attn.";
    std::vector<float> qkv;
    for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
      const std::vector<float> rows = Source(absl::StrCat(prefix, part, ".weight"));
      qkv.insert(qkv.end(), rows.begin(), rows.end());
    }
    ExpectQuantized(weights->layers[0].attention.qkv, qkv);
    ExpectQuantized(weights->layers[0].attention.o, Source(prefix + "o_proj.weight"));
    ExpectQuantized(weights->layers[1].mlp.down, Source("model.layers.1.mlp.down_proj.weight"));
    ExpectQuantized(weights->lm_head, Source("lm_head.weight"));
    EXPECT_EQ(weights->layers[1].mlp.gate_up.dtype, DType::kI8);
    const DType kept = dtype == DType::kBF16 ? DType::kBF16 : DType::kF32;
    EXPECT_EQ(weights->embedding.dtype, kept);
    EXPECT_EQ(weights->layers[0].router.dtype, kept);
  }
}

TEST_F(WeightsTest, AQuantisedHeadLeavesTheTiedEmbeddingWithTheHost) {
  const tests::SyntheticOptions options{.tie_word_embeddings = true};
  const auto weights = Load(options, {.bits = 8});
  ASSERT_TRUE(weights.ok()) << weights.status();
  ExpectQuantized(weights->lm_head, Source("model.embed_tokens.weight"));
  ASSERT_NE(weights->host_memory, nullptr);
  EXPECT_EQ(weights->embedding.data, weights->host_memory->data());
  const auto tensor = checkpoint_->Find("model.embed_tokens.weight");
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(std::memcmp(weights->embedding.data, tensor->bytes.data(), tensor->bytes.size()), 0);
}

TEST_F(WeightsTest, EightBitsAreTheSameWithAnyNumberOfThreads) {
  // Several pieces of the staging buffer, the last one not full.
  const tests::SyntheticOptions options{.vocab_size = 70001, .num_layers = 1};
  const tests::SyntheticCheckpoint checkpoint = tests::MakeSyntheticCheckpoint(options);
  const auto one = Load(checkpoint, options, {.bits = 8, .num_threads = 1});
  ASSERT_TRUE(one.ok()) << one.status();
  const auto three = Load(checkpoint, options, {.bits = 8, .num_threads = 3});
  ASSERT_TRUE(three.ok()) << three.status();
  const size_t bytes = size_t{one->lm_head.rows} * one->lm_head.cols;
  ASSERT_GT(bytes, 8 * kMiB);
  EXPECT_EQ(std::memcmp(one->lm_head.data, three->lm_head.data, bytes), 0);
  EXPECT_EQ(
      std::memcmp(one->lm_head.scales, three->lm_head.scales, one->lm_head.rows * sizeof(float)),
      0);
  ExpectQuantized(one->lm_head, Source("lm_head.weight"));
}

TEST_F(WeightsTest, EightBitsTakeHalfTheMemory) {
  const tests::SyntheticOptions options;
  const auto wide = Load(options);
  ASSERT_TRUE(wide.ok()) << wide.status();
  const auto narrow = Load(options, {.bits = 8});
  ASSERT_TRUE(narrow.ok()) << narrow.status();
  // Norms, routers and scales are the rest.
  EXPECT_LT(narrow->memory->bytes(), wide->memory->bytes() * 6 / 10);
}

TEST_F(WeightsTest, SaysWhenTheBudgetIsTooSmall) {
  auto small = kernels::CpuDevice::Create({.budget_bytes = 64 * kKiB});
  ASSERT_TRUE(small.ok()) << small.status();
  ASSERT_TRUE(Load({}).ok());
  const absl::Status status = ModelWeights::Load(*checkpoint_, **small, *stream_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("dense weights"));
}

}  // namespace
}  // namespace spearfish::worker
