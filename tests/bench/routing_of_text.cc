#include "tests/bench/routing_of_text.h"

#include <algorithm>
#include <vector>

#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/tokenizer.h"
#include "tests/golden/loaded_model.h"
#include "worker/pack/heatmap_routing.h"

namespace spearfish::bench {
namespace {

constexpr uint32_t kChunkTokens = 256;

absl::StatusOr<std::vector<TokenId>> Tokens(const std::string& checkpoint, const std::string& text,
                                            size_t max_tokens) {
  SF_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::FromFile(checkpoint + "/tokenizer.json"));
  SF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(text));
  const absl::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                                file->bytes().size());
  SF_ASSIGN_OR_RETURN(auto tokens, tokenizer->Encode(bytes, Tokenizer::SpecialTokens::kParse));
  tokens.resize(std::min(tokens.size(), max_tokens));
  return tokens;
}

// From [layers, rows, k] to [rows, layers, k].
void Append(std::span<const int32_t> expert_ids, uint32_t num_rows, RoutingTrace& trace) {
  for (size_t row = 0; row < num_rows; ++row) {
    for (size_t layer = 0; layer < trace.num_layers; ++layer) {
      const auto ids = expert_ids.subspan((layer * num_rows + row) * trace.top_k, trace.top_k);
      trace.chosen.insert(trace.chosen.end(), ids.begin(), ids.end());
    }
  }
}

}  // namespace

absl::StatusOr<RoutingTrace> TraceText(const std::string& checkpoint, const std::string& text,
                                       size_t max_tokens) {
  SF_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens, Tokens(checkpoint, text, max_tokens));
  SF_ASSIGN_OR_RETURN(const auto loaded,
                      tests::LoadedModel::Create(checkpoint, {.quant = {}, .model = {}}));
  const ModelConfig& config = loaded->model->config();
  RoutingTrace trace{.num_layers = config.num_moe_layers(),
                     .num_experts = config.num_experts,
                     .top_k = config.num_experts_per_token,
                     .chosen = {}};
  worker::RouteTokens(*loaded->model, tokens, kChunkTokens,
                      [&trace](std::span<const int32_t> expert_ids, uint32_t num_rows) {
                        Append(expert_ids, num_rows, trace);
                      });
  return trace;
}

RoutingTrace Part(const RoutingTrace& trace, size_t first, size_t num_tokens) {
  RoutingTrace part = trace;
  const auto a_token = static_cast<ptrdiff_t>(size_t{trace.num_layers} * trace.top_k);
  const auto begin = trace.chosen.begin() + static_cast<ptrdiff_t>(first) * a_token;
  part.chosen.assign(begin, begin + static_cast<ptrdiff_t>(num_tokens) * a_token);
  return part;
}

}  // namespace spearfish::bench
