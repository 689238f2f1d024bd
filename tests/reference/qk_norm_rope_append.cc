#include "tests/reference/qk_norm_rope_append.h"

#include <cmath>

#include "tests/reference/matrix_values.h"

namespace spearfish::reference {
namespace {

std::vector<double> Normalized(std::vector<double> head, const float* weight, float eps) {
  if (weight == nullptr) return head;
  double sum = 0.0;
  for (const double x : head) sum += x * x;
  const double factor =
      1.0 / std::sqrt(sum / static_cast<double>(head.size()) + static_cast<double>(eps));
  for (size_t i = 0; i < head.size(); ++i) head[i] *= factor * static_cast<double>(weight[i]);
  return head;
}

std::vector<double> Rotated(const std::vector<double>& head, int32_t position,
                            const float* inv_freq) {
  std::vector<double> out(head.size());
  const size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double angle = position * static_cast<double>(inv_freq[i]);
    out[i] = head[i] * std::cos(angle) - head[i + half] * std::sin(angle);
    out[i + half] = head[i + half] * std::cos(angle) + head[i] * std::sin(angle);
  }
  return out;
}

}  // namespace

QkNormRopeAppendResult QkNormRopeAppend(const kernels::QkNormRopeAppendArgs& args) {
  QkNormRopeAppendResult result;
  const size_t head_dim = args.kv.head_dim;
  size_t at = 0;
  const auto next_head = [&] {
    std::vector<double> head(head_dim);
    for (double& x : head) x = Activation(args.qkv, at++);
    return head;
  };
  const auto append = [](const std::vector<double>& head, std::vector<double>& to) {
    to.insert(to.end(), head.begin(), head.end());
  };
  for (size_t t = 0; t < args.num_rows; ++t) {
    const auto rotated = [&](const float* norm) {
      return Rotated(Normalized(next_head(), norm, args.eps), args.positions[t], args.inv_freq);
    };
    for (size_t h = 0; h < args.num_heads; ++h) append(rotated(args.q_norm), result.q);
    for (size_t h = 0; h < args.kv.num_kv_heads; ++h) append(rotated(args.k_norm), result.k);
    for (size_t h = 0; h < args.kv.num_kv_heads; ++h) append(next_head(), result.v);
  }
  return result;
}

size_t KvIndex(const kernels::KvLayer& kv, size_t slot, size_t kv_head, size_t i) {
  const size_t block = slot / kv.block_tokens;
  const size_t offset = slot % kv.block_tokens;
  return block * kv.block_stride / sizeof(float) +
         (kv_head * kv.block_tokens + offset) * kv.head_dim + i;
}

}  // namespace spearfish::reference
