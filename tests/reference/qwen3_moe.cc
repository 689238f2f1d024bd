#include "tests/reference/qwen3_moe.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/expert_cache/expert_record.h"

namespace spearfish::tests {
namespace {

double Silu(double x) { return x / (1.0 + std::exp(-x)); }

// out[n] = sum_k w[n, k] * x[k].
template <typename Weights>
std::vector<double> MatVec(const Weights& w, std::span<const double> x) {
  std::vector<double> out(w.size() / x.size(), 0.0);
  for (size_t n = 0; n < out.size(); ++n) {
    for (size_t k = 0; k < x.size(); ++k) out[n] += static_cast<double>(w[n * x.size() + k]) * x[k];
  }
  return out;
}

// out = w2 (silu(w1 x) * (w3 x)).
template <typename Weights>
std::vector<double> GatedMlp(const Weights& w1, const Weights& w3, const Weights& w2,
                             std::span<const double> x) {
  std::vector<double> hidden = MatVec(w1, x);
  const std::vector<double> up = MatVec(w3, x);
  for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = Silu(hidden[i]) * up[i];
  return MatVec(w2, hidden);
}

void Softmax(std::span<double> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& v : values) sum += v = std::exp(v - largest);
  for (double& v : values) v /= sum;
}

// The k largest, largest first, lower index first among equals.
std::vector<size_t> TopK(std::span<const double> values, size_t k) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(k);
  return order;
}

void NormaliseHead(std::span<double> head, std::span<const double> weight, double eps) {
  double squares = 0;
  for (const double v : head) squares += v * v;
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(head.size()) + eps);
  for (size_t i = 0; i < head.size(); ++i) head[i] *= scale * weight[i];
}

// Pairs (i, i + D/2) turn by position * theta^(-2i/D).
void Rotate(std::span<double> head, size_t position, double theta) {
  const size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(head.size());
    const double angle = static_cast<double>(position) * std::pow(theta, exponent);
    const double a = head[i];
    const double b = head[i + half];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[i + half] = b * std::cos(angle) + a * std::sin(angle);
  }
}

// Weights of one output to q * scale. The quotient is float32, as the rule says: in float64 a tie
// could be decided the other way.
void RoundToInt8(std::span<double> row) {
  float largest = 0;
  for (const double w : row) largest = std::fmax(largest, std::fabs(static_cast<float>(w)));
  const float scale = largest / 127.0f;
  if (scale == 0) return;
  for (double& w : row) {
    w = std::nearbyint(double{static_cast<float>(w) / scale}) * double{scale};
  }
}

void AddTo(std::vector<double>& sum, const std::vector<double>& x) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += x[i];
}

}  // namespace

std::vector<double> Qwen3MoeOracle::Weight(const std::string& name) const {
  const auto tensor = checkpoint_.Find(name);
  SF_CHECK_OK(tensor.status());
  std::vector<float> values(static_cast<size_t>(tensor->num_elements()));
  SF_CHECK_OK(WidenToFloat(*tensor, values));
  return {values.begin(), values.end()};
}

std::vector<double> Qwen3MoeOracle::Projection(const std::string& name) const {
  std::vector<double> w = Weight(name);
  if (dense_bits_ == 16 || absl::EndsWith(name, "mlp.gate.weight")) return w;
  const auto tensor = checkpoint_.Find(name);
  SF_CHECK_OK(tensor.status());
  const auto inputs = static_cast<size_t>(tensor->shape[1]);
  for (size_t begin = 0; begin < w.size(); begin += inputs) {
    RoundToInt8(std::span(w).subspan(begin, inputs));
  }
  return w;
}

Qwen3MoeOracle::Rows Qwen3MoeOracle::Project(const Rows& x, const std::string& weight,
                                             const std::string& bias) const {
  const auto tensor = checkpoint_.Find(weight);
  SF_CHECK_OK(tensor.status());
  const auto outputs = static_cast<size_t>(tensor->shape[0]);
  const auto inputs = static_cast<size_t>(tensor->shape[1]);
  const std::vector<double> w = Projection(weight);
  std::vector<double> b(outputs, 0.0);
  if (config_.attention_bias && !bias.empty()) b = Weight(bias);
  Rows out;
  for (size_t t = 0; t < x.size() / inputs; ++t) {
    std::vector<double> row = MatVec(w, std::span(x).subspan(t * inputs, inputs));
    AddTo(row, b);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

Qwen3MoeOracle::Rows Qwen3MoeOracle::RmsNorm(const Rows& x, const std::string& weight) const {
  const std::vector<double> w = Weight(weight);
  Rows out = x;
  for (size_t begin = 0; begin < out.size(); begin += w.size()) {
    NormaliseHead(std::span(out).subspan(begin, w.size()), w, config_.rms_norm_eps);
  }
  return out;
}

Qwen3MoeOracle::Rows Qwen3MoeOracle::Attention(const Rows& x, const std::string& prefix) const {
  const size_t dim = config_.head_dim;
  const size_t num_tokens = x.size() / config_.hidden_size;
  Rows q = Project(x, prefix + "q_proj.weight", prefix + "q_proj.bias");
  Rows k = Project(x, prefix + "k_proj.weight", prefix + "k_proj.bias");
  const Rows v = Project(x, prefix + "v_proj.weight", prefix + "v_proj.bias");
  const std::vector<double> q_norm = Weight(prefix + "q_norm.weight");
  const std::vector<double> k_norm = Weight(prefix + "k_norm.weight");
  const auto head = [&](Rows& rows, size_t t, size_t h, size_t num_heads) {
    return std::span(rows).subspan((t * num_heads + h) * dim, dim);
  };
  for (size_t t = 0; t < num_tokens; ++t) {
    for (size_t h = 0; h < config_.num_heads; ++h) {
      NormaliseHead(head(q, t, h, config_.num_heads), q_norm, config_.rms_norm_eps);
      Rotate(head(q, t, h, config_.num_heads), t, config_.rope_theta);
    }
    for (size_t h = 0; h < config_.num_kv_heads; ++h) {
      NormaliseHead(head(k, t, h, config_.num_kv_heads), k_norm, config_.rms_norm_eps);
      Rotate(head(k, t, h, config_.num_kv_heads), t, config_.rope_theta);
    }
  }
  Rows out(q.size(), 0.0);
  const size_t group = config_.num_heads / config_.num_kv_heads;
  for (size_t t = 0; t < num_tokens; ++t) {
    for (size_t h = 0; h < config_.num_heads; ++h) {
      const auto query = head(q, t, h, config_.num_heads);
      std::vector<double> scores(t + 1);
      for (size_t s = 0; s <= t; ++s) {
        const auto key = head(k, s, h / group, config_.num_kv_heads);
        scores[s] = std::inner_product(query.begin(), query.end(), key.begin(), 0.0) /
                    std::sqrt(static_cast<double>(dim));
      }
      Softmax(scores);
      const auto target = head(out, t, h, config_.num_heads);
      for (size_t s = 0; s <= t; ++s) {
        const size_t begin = (s * config_.num_kv_heads + h / group) * dim;
        for (size_t i = 0; i < dim; ++i) target[i] += scores[s] * v[begin + i];
      }
    }
  }
  return Project(out, prefix + "o_proj.weight", prefix + "o_proj.bias");
}

Qwen3MoeOracle::Rows Qwen3MoeOracle::DenseMlp(const Rows& x, const std::string& prefix) const {
  const std::vector<double> gate = Projection(prefix + "gate_proj.weight");
  const std::vector<double> up = Projection(prefix + "up_proj.weight");
  const std::vector<double> down = Projection(prefix + "down_proj.weight");
  Rows out;
  for (size_t begin = 0; begin < x.size(); begin += config_.hidden_size) {
    const std::vector<double> row =
        GatedMlp(gate, up, down, std::span(x).subspan(begin, config_.hidden_size));
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

Qwen3MoeOracle::Rows Qwen3MoeOracle::Moe(const Rows& x, LayerId layer, const std::string& prefix,
                                         std::vector<double>& probabilities) const {
  probabilities = Project(x, prefix + "gate.weight");
  std::vector<DequantizedExpert> experts(config_.num_experts);  // filled when first chosen
  Rows out(x.size(), 0.0);
  for (size_t t = 0; t < x.size() / config_.hidden_size; ++t) {
    const auto p = std::span(probabilities).subspan(t * config_.num_experts, config_.num_experts);
    Softmax(p);
    const std::vector<size_t> chosen = TopK(p, config_.num_experts_per_token);
    double total = 0;
    for (const size_t e : chosen) total += p[e];
    const auto row = std::span(x).subspan(t * config_.hidden_size, config_.hidden_size);
    for (const size_t e : chosen) {
      DequantizedExpert& expert = experts[e];
      if (expert.gate.empty()) {
        expert =
            UnpackExpert(cache_.Record(layer, ExpertId{static_cast<uint32_t>(e)}), cache_.layout());
      }
      const double weight = config_.norm_topk_prob ? p[e] / total : p[e];
      const std::vector<double> y = GatedMlp(expert.gate, expert.up, expert.down, row);
      for (size_t i = 0; i < y.size(); ++i) out[t * config_.hidden_size + i] += weight * y[i];
    }
  }
  return out;
}

OracleOutput Qwen3MoeOracle::Run(std::span<const TokenId> ids) const {
  OracleOutput output;
  const size_t hidden = config_.hidden_size;
  const std::vector<double> embedding = Weight("model.embed_tokens.weight");
  Rows x;
  for (const TokenId id : ids) {
    x.insert(x.end(), embedding.begin() + static_cast<ptrdiff_t>(id * hidden),
             embedding.begin() + static_cast<ptrdiff_t>((id + 1) * hidden));
  }
  for (uint32_t layer = 0; layer < config_.num_layers; ++layer) {
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    AddTo(x, Attention(RmsNorm(x, prefix + "input_layernorm.weight"), prefix + "self_attn."));
    const Rows normed = RmsNorm(x, prefix + "post_attention_layernorm.weight");
    if (config_.is_moe(LayerId{layer})) {
      AddTo(x, Moe(normed, LayerId{layer}, prefix + "mlp.",
                   output.router_probabilities.emplace_back()));
    } else {
      AddTo(x, DenseMlp(normed, prefix + "mlp."));
    }
  }
  output.logits =
      Project(RmsNorm(x, "model.norm.weight"),
              config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  return output;
}

}  // namespace spearfish::tests
