// Highway compiles this file once per target: simd_targets.h first, then foreach_target.h, which
// includes it again for every target but the last.
#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cc"
#include "hwy/foreach_target.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/api/validate.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_plan.h"
#include "kernels/cpu/row_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels {
namespace HWY_NAMESPACE {

// Heads that share a loaded key or value: four, times two vectors, fill the registers of AVX2.
inline constexpr size_t kHeadsTogether = 4;

// The rows of keys and values of one chunk.
struct ChunkRows {
  const float* k[kAttentionChunk];
  const float* v[kAttentionChunk];
};

// scores[h][j] = q[h] . k[j] * scale.
template <size_t kHeads>
HWY_INLINE void ScoreHeads(const float* q, size_t head_dim, const ChunkRows& rows, size_t num_keys,
                           float scale, float* scores) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < num_keys; ++j) {
    FloatVec dots[kHeads];
    for (size_t h = 0; h < kHeads; ++h) dots[h] = hn::Zero(d);
    size_t i = 0;
    for (; i + lanes <= head_dim; i += lanes) {
      const FloatVec key = hn::LoadU(d, rows.k[j] + i);
      for (size_t h = 0; h < kHeads; ++h) {
        dots[h] = hn::MulAdd(hn::LoadU(d, q + h * head_dim + i), key, dots[h]);
      }
    }
    if (i < head_dim) {
      const FloatVec key = LoadTail(rows.k[j] + i, head_dim - i);
      for (size_t h = 0; h < kHeads; ++h) {
        dots[h] = hn::MulAdd(LoadTail(q + h * head_dim + i, head_dim - i), key, dots[h]);
      }
    }
    for (size_t h = 0; h < kHeads; ++h) scores[h * kAttentionChunk + j] = Sum(dots[h]) * scale;
  }
}

// Turns scores into exp(score - max), updates max and sum; returns the factor for what was
// accumulated under the old maximum.
HWY_INLINE float SoftmaxChunk(float* scores, size_t num_keys, float& max, float& sum) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t padded = (num_keys + lanes - 1) / lanes * lanes;
  std::fill(scores + num_keys, scores + padded, -std::numeric_limits<float>::infinity());
  FloatVec maxima = hn::Set(d, max);
  for (size_t j = 0; j < padded; j += lanes) maxima = hn::Max(maxima, hn::Load(d, scores + j));
  const FloatVec new_max = hn::MaxOfLanes(d, maxima);
  FloatVec sums = hn::Zero(d);
  for (size_t j = 0; j < padded; j += lanes) {
    const FloatVec p = hn::Exp(d, hn::Sub(hn::Load(d, scores + j), new_max));
    hn::Store(p, d, scores + j);
    sums = hn::Add(sums, p);
  }
  const float factor = hn::GetLane(hn::Exp(d, hn::Sub(hn::Set(d, max), new_max)));
  max = hn::GetLane(new_max);
  sum = sum * factor + Sum(sums);
  return factor;
}

// acc[h] = acc[h] * factor[h] + sum_j p[h][j] v[j], for kVectors vectors from column `i` on; the
// last one may be partial.
template <size_t kHeads, size_t kVectors>
HWY_INLINE void AccumulateColumns(const float* p, const ChunkRows& rows, size_t num_keys,
                                  const float* factors, size_t head_dim, size_t i, float* acc) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  FloatVec sums[kHeads][kVectors];
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t c = 0; c < kVectors; ++c) {
      const size_t at = i + c * lanes;
      sums[h][c] =
          hn::Mul(LoadUpTo(acc + h * head_dim + at, head_dim - at), hn::Set(d, factors[h]));
    }
  }
  for (size_t j = 0; j < num_keys; ++j) {
    FloatVec values[kVectors];
    for (size_t c = 0; c < kVectors; ++c) {
      const size_t at = i + c * lanes;
      values[c] = LoadUpTo(rows.v[j] + at, head_dim - at);
    }
    for (size_t h = 0; h < kHeads; ++h) {
      const FloatVec weight = hn::Set(d, p[h * kAttentionChunk + j]);
      for (size_t c = 0; c < kVectors; ++c) sums[h][c] = hn::MulAdd(weight, values[c], sums[h][c]);
    }
  }
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t c = 0; c < kVectors; ++c) {
      const size_t at = i + c * lanes;
      StoreUpTo(sums[h][c], acc + h * head_dim + at, head_dim - at);
    }
  }
}

// One query row against one chunk, for kHeads heads of a group.
template <size_t kHeads>
HWY_INLINE void AttendHeads(const float* q, size_t head_dim, const ChunkRows& rows, size_t num_keys,
                            float scale, SoftmaxState state) {
  const size_t lanes = hn::Lanes(FloatTag());
  HWY_ALIGN float scores[kHeads * kAttentionChunk];
  ScoreHeads<kHeads>(q, head_dim, rows, num_keys, scale, scores);
  float factors[kHeads];
  for (size_t h = 0; h < kHeads; ++h) {
    factors[h] = SoftmaxChunk(scores + h * kAttentionChunk, num_keys, state.max[h], state.sum[h]);
  }
  size_t i = 0;
  for (; i + 2 * lanes <= head_dim; i += 2 * lanes) {
    AccumulateColumns<kHeads, 2>(scores, rows, num_keys, factors, head_dim, i, state.acc);
  }
  for (; i < head_dim; i += lanes) {
    AccumulateColumns<kHeads, 1>(scores, rows, num_keys, factors, head_dim, i, state.acc);
  }
}

HWY_INLINE void AttendGroup(const float* q, size_t head_dim, size_t num_heads,
                            const ChunkRows& rows, size_t num_keys, float scale,
                            const SoftmaxState& state) {
  for (size_t h = 0; h < num_heads; h += kHeadsTogether) {
    const float* heads = q + h * head_dim;
    const SoftmaxState at = state.Head(h, head_dim);
    switch (std::min(kHeadsTogether, num_heads - h)) {
      case 4:
        AttendHeads<4>(heads, head_dim, rows, num_keys, scale, at);
        break;
      case 3:
        AttendHeads<3>(heads, head_dim, rows, num_keys, scale, at);
        break;
      case 2:
        AttendHeads<2>(heads, head_dim, rows, num_keys, scale, at);
        break;
      default:
        AttendHeads<1>(heads, head_dim, rows, num_keys, scale, at);
    }
  }
}

// The rows of a tile against the keys [begin, end); `states` is empty before.
void AttendSpan(const AttentionArgs& args, const AttentionTile& tile, uint32_t kv_head,
                uint32_t begin, uint32_t end, const TileStates& states) {
  const KvLayer& kv = args.kv;
  const size_t head_dim = kv.head_dim;
  const size_t group = args.num_heads / kv.num_kv_heads;
  const int32_t* blocks = args.block_tables + size_t{tile.sequence} * args.max_blocks;
  const size_t block_stride = kv.block_stride / sizeof(float);
  ChunkRows rows;
  for (uint32_t chunk = begin; chunk < end; chunk += kAttentionChunk) {
    const uint32_t loaded = std::min<uint32_t>(kAttentionChunk, end - chunk);
    for (uint32_t j = 0; j < loaded; ++j) {
      const size_t block = static_cast<size_t>(blocks[(chunk + j) / kv.block_tokens]);
      const size_t offset = (chunk + j) % kv.block_tokens;
      const size_t at =
          block * block_stride + (size_t{kv_head} * kv.block_tokens + offset) * head_dim;
      rows.k[j] = static_cast<const float*>(kv.k) + at;
      rows.v[j] = static_cast<const float*>(kv.v) + at;
    }
    for (uint32_t r = 0; r < tile.num_rows; ++r) {
      const uint32_t row_keys = tile.first_num_keys + r;
      if (row_keys <= chunk) continue;
      const float* q = static_cast<const float*>(args.q) +
                       ((size_t{tile.first_row} + r) * args.num_heads + kv_head * group) * head_dim;
      AttendGroup(q, head_dim, group, rows, std::min<size_t>(loaded, row_keys - chunk), args.scale,
                  states.Row(r));
    }
  }
}

// state = state (+) part, the softmax over the union of their keys.
void MergeHead(SoftmaxState state, const SoftmaxState& part, size_t head_dim) {
  const FloatTag d;
  const float max = std::max(*state.max, *part.max);
  const FloatVec maxima = hn::Set(d, max);
  const FloatVec mine = hn::Exp(d, hn::Sub(hn::Set(d, *state.max), maxima));
  const FloatVec theirs = hn::Exp(d, hn::Sub(hn::Set(d, *part.max), maxima));
  *state.sum =
      hn::GetLane(hn::MulAdd(hn::Set(d, *part.sum), theirs, hn::Mul(hn::Set(d, *state.sum), mine)));
  *state.max = max;
  for (size_t i = 0; i < head_dim; i += hn::Lanes(d)) {
    const size_t count = head_dim - i;
    const FloatVec scaled = hn::Mul(LoadUpTo(state.acc + i, count), mine);
    StoreUpTo(hn::MulAdd(LoadUpTo(part.acc + i, count), theirs, scaled), state.acc + i, count);
  }
}

// out = acc / sum; zero for a head that saw no key.
void FinishHead(const SoftmaxState& state, size_t head_dim, float* out) {
  const FloatTag d;
  const float inverse = *state.sum == 0.0f ? 0.0f : 1.0f / *state.sum;
  for (size_t i = 0; i < head_dim; i += hn::Lanes(d)) {
    const size_t count = head_dim - i;
    StoreUpTo(hn::Mul(LoadUpTo(state.acc + i, count), hn::Set(d, inverse)), out + i, count);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace spearfish::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {
namespace {

HWY_EXPORT(AttendSpan);
HWY_EXPORT(MergeHead);
HWY_EXPORT(FinishHead);

// Runs one (tile, key head) unit. Spans are computed apart and merged in order whether one thread
// or many did them, so the bits do not depend on how the work was spread.
class AttentionRun {
 public:
  explicit AttentionRun(const AttentionArgs& args)
      : args_(args), group_(args.num_heads / args.kv.num_kv_heads) {}

  size_t floats_per_tile() const { return TileStates::NumFloats(group_, args_.kv.head_dim); }
  TileStates States(float* memory) const { return {memory, group_, args_.kv.head_dim}; }

  void Span(const AttentionTile& tile, uint32_t kv_head, uint32_t span, float* memory) const {
    const TileStates states = States(memory);
    states.Clear(tile.num_rows);
    const uint32_t begin = span * kAttentionSpan;
    const uint32_t end = std::min(begin + kAttentionSpan, tile.max_num_keys());
    HWY_DYNAMIC_DISPATCH(AttendSpan)(args_, tile, kv_head, begin, end, states);
  }

  // Rows that end before `span` are left alone.
  void Merge(const AttentionTile& tile, uint32_t span, float* into, float* part) const {
    for (uint32_t r = 0; r < tile.num_rows; ++r) {
      if (tile.first_num_keys + r <= span * kAttentionSpan) continue;
      for (uint32_t h = 0; h < group_; ++h) {
        HWY_DYNAMIC_DISPATCH(MergeHead)
        (States(into).Row(r).Head(h, args_.kv.head_dim),
         States(part).Row(r).Head(h, args_.kv.head_dim), args_.kv.head_dim);
      }
    }
  }

  void Finish(const AttentionTile& tile, uint32_t kv_head, float* memory) const {
    const size_t head_dim = args_.kv.head_dim;
    for (uint32_t r = 0; r < tile.num_rows; ++r) {
      const size_t head = (size_t{tile.first_row} + r) * args_.num_heads + kv_head * group_;
      for (uint32_t h = 0; h < group_; ++h) {
        HWY_DYNAMIC_DISPATCH(FinishHead)
        (States(memory).Row(r).Head(h, head_dim), head_dim,
         static_cast<float*>(args_.out) + (head + h) * head_dim);
      }
    }
  }

 private:
  const AttentionArgs& args_;
  const uint32_t group_;
};

// Grows only; one a thread, so that a step allocates nothing once it is warm.
float* ThreadScratch(size_t num_floats) {
  thread_local std::vector<float> scratch;
  if (scratch.size() < num_floats) scratch.resize(num_floats);
  return scratch.data();
}

// A thread takes whole units: enough of them for everyone.
void RunUnits(const AttentionRun& run, const AttentionPlan& plan, uint32_t num_kv_heads,
              ThreadPool& pool) {
  const auto num_units = static_cast<uint32_t>(plan.tiles.size() * num_kv_heads);
  pool.ParallelFor(num_units, [&](uint32_t unit, uint32_t) {
    const AttentionTile& tile = plan.tiles[unit / num_kv_heads];
    const uint32_t kv_head = unit % num_kv_heads;
    float* states = ThreadScratch(2 * run.floats_per_tile());
    float* part = states + run.floats_per_tile();
    run.Span(tile, kv_head, 0, states);
    for (uint32_t span = 1; span < tile.num_spans(); ++span) {
      run.Span(tile, kv_head, span, part);
      run.Merge(tile, span, states, part);
    }
    run.Finish(tile, kv_head, states);
  });
}

// Few rows with long contexts: threads share a unit's spans.
void RunSpans(const AttentionRun& run, const AttentionPlan& plan, uint32_t num_kv_heads,
              ThreadPool& pool) {
  const auto num_units = static_cast<uint32_t>(plan.tiles.size() * num_kv_heads);
  const size_t unit_floats = plan.max_spans * run.floats_per_tile();
  float* parts = ThreadScratch(num_units * unit_floats);
  pool.ParallelFor(num_units * plan.max_spans, [&](uint32_t item, uint32_t) {
    const uint32_t unit = item / plan.max_spans;
    const uint32_t span = item % plan.max_spans;
    const AttentionTile& tile = plan.tiles[unit / num_kv_heads];
    if (span >= std::max(tile.num_spans(), 1u)) return;
    run.Span(tile, unit % num_kv_heads, span,
             parts + unit * unit_floats + span * run.floats_per_tile());
  });
  pool.ParallelFor(num_units, [&](uint32_t unit, uint32_t) {
    const AttentionTile& tile = plan.tiles[unit / num_kv_heads];
    float* states = parts + unit * unit_floats;
    for (uint32_t span = 1; span < tile.num_spans(); ++span) {
      run.Merge(tile, span, states, states + span * run.floats_per_tile());
    }
    run.Finish(tile, unit % num_kv_heads, states);
  });
}

}  // namespace

void AttentionCpu(const AttentionArgs& args, ThreadPool& pool) {
  if (args.num_rows == 0) return;
  thread_local AttentionPlan plan;
  plan.Build(args);
  const AttentionRun run(args);
  const uint32_t num_kv_heads = args.kv.num_kv_heads;
  const bool enough_units = plan.tiles.size() * num_kv_heads >= 2 * pool.num_threads();
  if (plan.max_spans == 1 || enough_units || pool.num_threads() == 1) {
    RunUnits(run, plan, num_kv_heads, pool);
  } else {
    RunSpans(run, plan, num_kv_heads, pool);
  }
}

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
