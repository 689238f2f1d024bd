#include "kernels/api/validate.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spearfish::kernels {
namespace {

// Collects the first violation of one operation's contract.
class Checker {
 public:
  explicit Checker(absl::string_view operation) : operation_(operation) {}

  Checker& Buffer(absl::string_view field, const void* data) {
    if (data == nullptr) return Fail(field, " is null; pass a device address");
    return Optional(field, data);
  }
  Checker& Optional(absl::string_view field, const void* data) {
    if (reinterpret_cast<uintptr_t>(data) % kBufferAlignment == 0) return *this;
    return Fail(field, absl::StrCat(" is not aligned; align it to ", kBufferAlignment, " bytes"));
  }
  Checker& Distinct(absl::string_view field, const void* a, const void* b) {
    if (a != b) return *this;
    return Fail(field, " aliases an input; give it memory of its own");
  }
  Checker& Range(absl::string_view field, uint64_t value, uint64_t least, uint64_t most) {
    if (value >= least && value <= most) return *this;
    return Fail(field, absl::StrCat(" is ", value, "; must be between ", least, " and ", most));
  }
  Checker& Positive(absl::string_view field, uint64_t value) {
    return Range(field, value, 1, UINT32_MAX);
  }
  Checker& Multiple(absl::string_view field, uint64_t value, uint64_t of) {
    if (of != 0 && value % of == 0) return *this;
    return Fail(field, absl::StrCat(" is ", value, "; must be a multiple of ", of));
  }
  Checker& Finite(absl::string_view field, float value) {
    if (std::isfinite(value)) return *this;
    return Fail(field, absl::StrCat(" is ", value, "; must be finite"));
  }
  Checker& Weights(absl::string_view field, const Matrix& matrix) {
    Shape(field, matrix);
    if (matrix.dtype == DType::kBF16 || matrix.dtype == DType::kF32) return *this;
    return Fail(absl::StrCat(field, ".dtype"),
                absl::StrCat(" is ", DTypeName(matrix.dtype), "; must be BF16 or F32"));
  }
  Checker& WeightsOrInt8(absl::string_view field, const Matrix& matrix) {
    if (matrix.dtype != DType::kI8) return Weights(field, matrix);
    return Shape(field, matrix).Buffer(absl::StrCat(field, ".scales"), matrix.scales);
  }
  Checker& Kv(const KvLayer& kv, uint32_t num_heads) {
    return Buffer("kv.k", kv.k)
        .Buffer("kv.v", kv.v)
        .Positive("kv.num_blocks", kv.num_blocks)
        .Positive("kv.block_tokens", kv.block_tokens)
        .Positive("kv.num_kv_heads", kv.num_kv_heads)
        .Range("kv.head_dim", kv.head_dim, 2, kMaxHeadDim)
        .Multiple("kv.head_dim", kv.head_dim, 2)
        .Range("kv.block_stride", kv.block_stride, kBufferAlignment, UINT64_MAX)
        .Multiple("kv.block_stride", kv.block_stride, kBufferAlignment)
        .Positive("num_heads", num_heads)
        .Multiple("num_heads", num_heads, kv.num_kv_heads);
  }
  absl::Status Done() const { return status_; }

 private:
  Checker& Shape(absl::string_view field, const Matrix& matrix) {
    return Buffer(absl::StrCat(field, ".data"), matrix.data)
        .Positive(absl::StrCat(field, ".rows"), matrix.rows)
        .Positive(absl::StrCat(field, ".cols"), matrix.cols);
  }
  Checker& Fail(absl::string_view field, absl::string_view what) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("invalid arguments of ", operation_, ": ", field, what));
    }
    return *this;
  }

  const absl::string_view operation_;
  absl::Status status_;
};

}  // namespace

absl::Status Validate(const EmbedArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("embed")
      .Buffer("ids", args.ids)
      .Weights("table", args.table)
      .Buffer("out", args.out)
      .Distinct("out", args.out, args.table.data)
      .Done();
}

absl::Status Validate(const RmsNormArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  Checker checker("rms_norm");
  checker.Buffer("x", args.x).Optional("residual", args.residual).Buffer("weight", args.weight);
  checker.Buffer("out", args.out).Positive("dim", args.dim).Finite("eps", args.eps);
  if (args.residual != nullptr) {
    checker.Distinct("residual", args.residual, args.x).Distinct("out", args.out, args.residual);
  }
  return checker.Done();
}

absl::Status Validate(const LinearArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  Checker checker("linear");
  checker.Buffer("x", args.x).WeightsOrInt8("weight", args.weight).Optional("bias", args.bias);
  checker.Buffer("out", args.out).Distinct("out", args.out, args.x);
  return checker.Done();
}

absl::Status Validate(const QkNormRopeAppendArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("qk_norm_rope_append")
      .Buffer("qkv", args.qkv)
      .Optional("q_norm", args.q_norm)
      .Optional("k_norm", args.k_norm)
      .Finite("eps", args.eps)
      .Buffer("positions", args.positions)
      .Buffer("inv_freq", args.inv_freq)
      .Buffer("slots", args.slots)
      .Buffer("q_out", args.q_out)
      .Distinct("q_out", args.q_out, args.qkv)
      .Kv(args.kv, args.num_heads)
      .Done();
}

absl::Status Validate(const AttentionArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("attention")
      .Buffer("q", args.q)
      .Kv(args.kv, args.num_heads)
      .Buffer("query_starts", args.query_starts)
      .Buffer("context_lens", args.context_lens)
      .Buffer("block_tables", args.block_tables)
      .Buffer("out", args.out)
      .Optional("workspace", args.workspace)
      .Distinct("out", args.out, args.q)
      .Finite("scale", args.scale)
      .Positive("num_seqs", args.num_seqs)
      .Positive("max_blocks", args.max_blocks)
      .Done();
}

absl::Status Validate(const RouterTopkArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("router_topk")
      .Buffer("x", args.x)
      .Weights("gate", args.gate)
      .Range("k", args.k, 1, args.gate.rows)
      .Buffer("expert_ids", args.expert_ids)
      .Buffer("expert_weights", args.expert_weights)
      .Optional("activation_counts", args.activation_counts)
      .Done();
}

absl::Status Validate(const MoeArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  const ExpertLayout& layout = args.layout;
  Checker checker("moe");
  checker.Buffer("x", args.x).Buffer("expert_ids", args.expert_ids);
  checker.Buffer("expert_weights", args.expert_weights);
  checker.Buffer("address_table", args.address_table).Buffer("out", args.out);
  checker.Distinct("out", args.out, args.x).Buffer("workspace", args.workspace);
  checker.Positive("num_experts", args.num_experts).Range("k", args.k, 1, args.num_experts);
  checker.Positive("layout.hidden", layout.hidden).Multiple("layout.hidden", layout.hidden, 64);
  checker.Range("layout.bits", layout.bits, 4, 8).Multiple("layout.bits", layout.bits, 4);
  checker.Range("layout.slice_channels", layout.slice_channels, 64, 128)
      .Multiple("layout.slice_channels", layout.slice_channels, 64)
      .Positive("layout.num_slices", layout.num_slices)
      .Positive("layout.w13_group", layout.w13_group)
      .Positive("layout.w2_group", layout.w2_group);
  return checker.Done();
}

absl::Status Validate(const SiluMulArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("silu_mul")
      .Buffer("gate_up", args.gate_up)
      .Buffer("out", args.out)
      .Distinct("out", args.out, args.gate_up)
      .Positive("dim", args.dim)
      .Done();
}

absl::Status Validate(const GatherRowsArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("gather_rows")
      .Buffer("x", args.x)
      .Buffer("rows", args.rows)
      .Buffer("out", args.out)
      .Distinct("out", args.out, args.x)
      .Positive("dim", args.dim)
      .Done();
}

absl::Status Validate(const SampleArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  return Checker("sample")
      .Buffer("logits", args.logits)
      .Buffer("rows", args.rows)
      .Optional("history", args.history)
      .Optional("biases", args.biases)
      .Buffer("out_tokens", args.out_tokens)
      .Buffer("workspace", args.workspace)
      .Range("vocab", args.vocab, 1, INT32_MAX)
      .Done();
}

absl::Status Validate(const LogProbsArgs& args) {
  if (args.num_rows == 0) return absl::OkStatus();
  Checker checker("log_probs");
  checker.Buffer("logits", args.logits).Buffer("tokens", args.tokens);
  checker.Buffer("token_logprobs", args.token_logprobs).Buffer("ranks", args.ranks);
  checker.Range("vocab", args.vocab, 1, INT32_MAX).Range("top_n", args.top_n, 0, args.vocab);
  if (args.top_n != 0) {
    checker.Buffer("top_ids", args.top_ids).Buffer("top_logprobs", args.top_logprobs);
  }
  return checker.Done();
}

}  // namespace spearfish::kernels
