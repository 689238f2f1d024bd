#include "common/tokenizer/model_json.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/quote.h"
#include "common/tokenizer/unsupported.h"

namespace spearfish {
namespace {

using nlohmann::json;
using MergeParts = std::pair<std::string, std::string>;

absl::Status CheckOptions(const JsonObject& model) {
  // Files from before the field existed are BPE if they have merges.
  if (model.Find("type") != nullptr || model.Find("merges") == nullptr) {
    SF_ASSIGN_OR_RETURN(const absl::string_view type, model.String("type"));
    if (type != "BPE") return Unsupported(model.PathOf("type"), Quote(type));
  }
  const json* dropout = model.Find("dropout");
  if (dropout != nullptr && !(dropout->is_number() && dropout->get<double>() == 0)) {
    return Unsupported(model.PathOf("dropout"), "set");
  }
  SF_ASSIGN_OR_RETURN(const bool byte_fallback, model.Bool("byte_fallback", false));
  if (byte_fallback) return Unsupported(model.PathOf("byte_fallback"), "true");
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.Find(name) == nullptr) continue;
    SF_ASSIGN_OR_RETURN(const absl::string_view affix, model.String(name));
    if (!affix.empty()) return Unsupported(model.PathOf(name), Quote(affix));
  }
  return absl::OkStatus();
}

absl::Status ReadVocab(const JsonObject& model, ModelSpec& spec) {
  const json* vocab = model.Find("vocab");
  if (vocab == nullptr || !vocab->is_object()) {
    return WrongJsonType(model.PathOf("vocab"), vocab == nullptr ? json() : *vocab, "object");
  }
  spec.vocab.reserve(vocab->size());
  for (const auto& [text, id] : vocab->items()) {
    SF_ASSIGN_OR_RETURN(const TokenId token, ReadId(id, model.PathOf("vocab"), text));
    spec.vocab.emplace_back(text, token);
  }
  return absl::OkStatus();
}

// The two parts of a merge; nullopt if it has another form.
std::optional<MergeParts> ReadMerge(const json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return MergeParts(merge[0].get_ref<const std::string&>(),
                      merge[1].get_ref<const std::string&>());
  }
  if (!merge.is_string()) return std::nullopt;
  const std::string& text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    return std::nullopt;
  }
  return MergeParts(text.substr(0, space), text.substr(space + 1));
}

// The first line of a merges.txt that was copied into the list.
bool IsVersionLine(const json& merge) {
  return merge.is_string() && absl::StartsWith(merge.get_ref<const std::string&>(), "#version");
}

absl::Status ReadMerges(const JsonObject& model, ModelSpec& spec) {
  SF_ASSIGN_OR_RETURN(const json* merges, model.Array("merges"));
  spec.merges.reserve(merges->size());
  for (size_t i = 0; i < merges->size(); ++i) {
    if (IsVersionLine((*merges)[i])) continue;
    std::optional<MergeParts> parts = ReadMerge((*merges)[i]);
    if (!parts.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("merge has no two parts: ", model.PathOf("merges"), "[", i,
                       "] is neither [\"a\", \"b\"] nor \"a b\"; download tokenizer.json again"));
    }
    spec.merges.push_back(*std::move(parts));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelSpec> ReadModel(const JsonObject& model) {
  SF_RETURN_IF_ERROR(CheckOptions(model));
  ModelSpec spec;
  SF_RETURN_IF_ERROR(ReadVocab(model, spec));
  SF_RETURN_IF_ERROR(ReadMerges(model, spec));
  if (model.Find("unk_token") != nullptr) {
    SF_ASSIGN_OR_RETURN(const absl::string_view unk_token, model.String("unk_token"));
    if (!unk_token.empty()) spec.unk_token = std::string(unk_token);
  }
  SF_ASSIGN_OR_RETURN(spec.fuse_unk, model.Bool("fuse_unk", false));
  SF_ASSIGN_OR_RETURN(spec.ignore_merges, model.Bool("ignore_merges", false));
  return spec;
}

}  // namespace spearfish
