#include "common/tokenizer/tokenizer_json.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/json_reader.h"
#include "common/tokenizer/model_json.h"
#include "common/tokenizer/quote.h"
#include "common/tokenizer/unsupported.h"

namespace spearfish {
namespace {

using nlohmann::json;

constexpr int kMostDepth = 32;

// Calls `read` with each element of array member `name`, as an object.
absl::Status ForEachObject(const JsonObject& parent, const char* name,
                           absl::FunctionRef<absl::Status(const JsonObject&)> read) {
  SF_ASSIGN_OR_RETURN(const json* array, parent.Array(name));
  for (size_t i = 0; i < array->size(); ++i) {
    SF_ASSIGN_OR_RETURN(
        const JsonObject element,
        JsonObject::Create((*array)[i], absl::StrCat(parent.PathOf(name), "[", i, "]")));
    SF_RETURN_IF_ERROR(read(element));
  }
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const JsonObject& root, std::vector<AddedToken>& tokens) {
  if (root.Find("added_tokens") == nullptr) return absl::OkStatus();
  return ForEachObject(root, "added_tokens", [&](const JsonObject& entry) -> absl::Status {
    AddedToken token;
    SF_ASSIGN_OR_RETURN(const absl::string_view text, entry.String("content"));
    token.text = std::string(text);
    const json* id = entry.Find("id");
    SF_ASSIGN_OR_RETURN(token.id, ReadId(id == nullptr ? json() : *id, entry.PathOf("id"), text));
    SF_ASSIGN_OR_RETURN(token.special, entry.Bool("special", false));
    SF_ASSIGN_OR_RETURN(token.normalized, entry.Bool("normalized", !token.special));
    SF_ASSIGN_OR_RETURN(token.single_word, entry.Bool("single_word", false));
    SF_ASSIGN_OR_RETURN(token.lstrip, entry.Bool("lstrip", false));
    SF_ASSIGN_OR_RETURN(token.rstrip, entry.Bool("rstrip", false));
    tokens.push_back(std::move(token));
    return absl::OkStatus();
  });
}

absl::Status ReadNormalizer(const JsonObject& normalizer, bool& nfc) {
  SF_ASSIGN_OR_RETURN(const absl::string_view type, normalizer.String("type"));
  if (type == "NFC") {
    nfc = true;
    return absl::OkStatus();
  }
  if (type == "Sequence") {
    return ForEachObject(normalizer, "normalizers",
                         [&](const JsonObject& part) { return ReadNormalizer(part, nfc); });
  }
  return Unsupported(normalizer.PathOf("type"), Quote(type));
}

absl::StatusOr<SplitBehavior> ReadBehavior(const JsonObject& split) {
  SF_ASSIGN_OR_RETURN(const absl::string_view name, split.String("behavior"));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return Unsupported(split.PathOf("behavior"), Quote(name));
}

absl::StatusOr<SplitSpec> ReadSplit(const JsonObject& split) {
  SplitSpec spec;
  SF_ASSIGN_OR_RETURN(const JsonObject pattern, split.Object("pattern"));
  spec.kind = pattern.Find("String") != nullptr ? PatternKind::kString : PatternKind::kRegex;
  SF_ASSIGN_OR_RETURN(const absl::string_view text,
                      pattern.String(spec.kind == PatternKind::kString ? "String" : "Regex"));
  spec.pattern = std::string(text);
  SF_ASSIGN_OR_RETURN(spec.behavior, ReadBehavior(split));
  SF_ASSIGN_OR_RETURN(spec.invert, split.Bool("invert", false));
  return spec;
}

// `has_byte_level` becomes true at the ByteLevel step, which must be the last.
absl::Status ReadPreTokenizer(const JsonObject& step, PreTokenizerSpec& spec,
                              bool& has_byte_level) {
  SF_ASSIGN_OR_RETURN(const absl::string_view type, step.String("type"));
  if (type == "Sequence") {
    return ForEachObject(step, "pretokenizers", [&](const JsonObject& part) {
      return ReadPreTokenizer(part, spec, has_byte_level);
    });
  }
  if (has_byte_level)
    return Unsupported(step.PathOf("type"), absl::StrCat(Quote(type), " after ByteLevel"));
  if (type == "Split") {
    SF_ASSIGN_OR_RETURN(SplitSpec split, ReadSplit(step));
    spec.splits.push_back(std::move(split));
    return absl::OkStatus();
  }
  if (type == "ByteLevel") {
    has_byte_level = true;
    SF_ASSIGN_OR_RETURN(spec.add_prefix_space, step.Bool("add_prefix_space", true));
    SF_ASSIGN_OR_RETURN(spec.use_word_regex, step.Bool("use_regex", true));
    return absl::OkStatus();
  }
  return Unsupported(step.PathOf("type"), Quote(type));
}

absl::Status CheckTemplate(const JsonObject& processor) {
  return ForEachObject(processor, "single", [](const JsonObject& piece) -> absl::Status {
    if (piece.Find("SpecialToken") != nullptr) {
      SF_ASSIGN_OR_RETURN(const JsonObject special, piece.Object("SpecialToken"));
      SF_ASSIGN_OR_RETURN(const absl::string_view id, special.String("id"));
      return Unsupported(piece.PathOf("SpecialToken"),
                         absl::StrCat(Quote(id), " added to every text"));
    }
    SF_ASSIGN_OR_RETURN(const JsonObject sequence, piece.Object("Sequence"));
    SF_ASSIGN_OR_RETURN(const absl::string_view id, sequence.String("id"));
    if (id != "A") return Unsupported(sequence.PathOf("id"), Quote(id));
    return absl::OkStatus();
  });
}

absl::Status CheckPostProcessor(const JsonObject& processor) {
  SF_ASSIGN_OR_RETURN(const absl::string_view type, processor.String("type"));
  if (type == "ByteLevel") return absl::OkStatus();  // moves offsets only
  if (type == "TemplateProcessing") return CheckTemplate(processor);
  if (type == "Sequence") return ForEachObject(processor, "processors", CheckPostProcessor);
  return Unsupported(processor.PathOf("type"), Quote(type));
}

absl::Status CheckDecoder(const JsonObject& decoder) {
  SF_ASSIGN_OR_RETURN(const absl::string_view type, decoder.String("type"));
  if (type == "ByteLevel") return absl::OkStatus();
  return Unsupported(decoder.PathOf("type"), Quote(type));
}

absl::Status ReadPipeline(const JsonObject& root, TokenizerSpec& spec) {
  if (root.Find("normalizer") != nullptr) {
    SF_ASSIGN_OR_RETURN(const JsonObject normalizer, root.Object("normalizer"));
    SF_RETURN_IF_ERROR(ReadNormalizer(normalizer, spec.normalize_nfc));
  }
  SF_ASSIGN_OR_RETURN(const JsonObject pre_tokenizer, root.Object("pre_tokenizer"));
  bool has_byte_level = false;
  SF_RETURN_IF_ERROR(ReadPreTokenizer(pre_tokenizer, spec.pre_tokenizer, has_byte_level));
  if (!has_byte_level) return Unsupported("pre_tokenizer", "no ByteLevel step");
  if (root.Find("post_processor") != nullptr) {
    SF_ASSIGN_OR_RETURN(const JsonObject processor, root.Object("post_processor"));
    SF_RETURN_IF_ERROR(CheckPostProcessor(processor));
  }
  SF_ASSIGN_OR_RETURN(const JsonObject decoder, root.Object("decoder"));
  return CheckDecoder(decoder);
}

}  // namespace

absl::StatusOr<TokenizerSpec> ParseTokenizerJson(absl::string_view json_text) {
  SF_ASSIGN_OR_RETURN(const json document,
                      ParseBoundedJson(json_text, kMostTokenizerJsonBytes, kMostDepth));
  SF_ASSIGN_OR_RETURN(const JsonObject root, JsonObject::Create(document, ""));
  TokenizerSpec spec;
  SF_RETURN_IF_ERROR(ReadAddedTokens(root, spec.added_tokens));
  SF_RETURN_IF_ERROR(ReadPipeline(root, spec));
  SF_ASSIGN_OR_RETURN(const JsonObject model, root.Object("model"));
  SF_ASSIGN_OR_RETURN(spec.model, ReadModel(model));
  return spec;
}

}  // namespace spearfish
