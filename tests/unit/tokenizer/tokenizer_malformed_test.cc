// What Tokenizer::Create says about files that it cannot take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/tokenizer/tokenizer.h"
#include "tests/unit/tokenizer/tiny_tokenizer.h"

namespace spearfish {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

// The tiny tokenizer with one value replaced (`pointer` as in RFC 6901).
absl::Status CreateWith(const char* pointer, const json& value) {
  json document = TinyTokenizerJson({{"a", "b"}});
  document[json::json_pointer(pointer)] = value;
  return Tokenizer::Create(document.dump()).status();
}

void ExpectUnimplemented(const absl::Status& status, const char* field, const char* value) {
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  EXPECT_THAT(status.message(), AllOf(HasSubstr(field), HasSubstr(value)));
}

void ExpectInvalid(const absl::Status& status, const char* field, const char* value = "") {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(status.message(), AllOf(HasSubstr(field), HasSubstr(value)));
}

TEST(TokenizerMalformed, NamesUnsupportedComponents) {
  ExpectUnimplemented(CreateWith("/model/type", "WordPiece"), "model.type", "WordPiece");
  ExpectUnimplemented(CreateWith("/normalizer", {{"type", "Lowercase"}}), "normalizer.type",
                      "Lowercase");
  ExpectUnimplemented(CreateWith("/pre_tokenizer", {{"type", "Metaspace"}}), "pre_tokenizer.type",
                      "Metaspace");
  ExpectUnimplemented(CreateWith("/post_processor", {{"type", "BertProcessing"}}),
                      "post_processor.type", "BertProcessing");
  ExpectUnimplemented(CreateWith("/decoder", {{"type", "WordPiece"}}), "decoder.type", "WordPiece");
}

TEST(TokenizerMalformed, NamesUnsupportedOptions) {
  ExpectUnimplemented(CreateWith("/model/dropout", 0.1), "model.dropout", "set");
  ExpectUnimplemented(CreateWith("/model/byte_fallback", true), "model.byte_fallback", "true");
  ExpectUnimplemented(CreateWith("/model/continuing_subword_prefix", "##"),
                      "model.continuing_subword_prefix", "##");
  ExpectUnimplemented(CreateWith("/model/end_of_word_suffix", "</w>"), "model.end_of_word_suffix",
                      "</w>");
}

TEST(TokenizerMalformed, NamesAPostProcessorThatAddsATokenToEveryText) {
  const json bos = {{"SpecialToken", {{"id", "<bos>"}, {"type_id", 0}}}};
  ExpectUnimplemented(CreateWith("/post_processor",
                                 {{"type", "TemplateProcessing"}, {"single", json::array({bos})}}),
                      "post_processor.single[0]", "<bos>");
}

TEST(TokenizerMalformed, WantsByteLevelLast) {
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Isolated"}};
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const auto sequence = [](const json& steps) {
    return json{{"type", "Sequence"}, {"pretokenizers", steps}};
  };
  EXPECT_TRUE(CreateWith("/pre_tokenizer", sequence(json::array({split, byte_level}))).ok());
  ExpectUnimplemented(CreateWith("/pre_tokenizer", sequence(json::array({split}))), "pre_tokenizer",
                      "no ByteLevel");
  ExpectUnimplemented(CreateWith("/pre_tokenizer", sequence(json::array({byte_level, split}))),
                      "pre_tokenizer.pretokenizers[1].type", "Split");
}

TEST(TokenizerMalformed, NamesASplitThatIsWrong) {
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", "a("}}}, {"behavior", "Isolated"}};
  ExpectInvalid(CreateWith("/pre_tokenizer",
                           {{"type", "Sequence"},
                            {"pretokenizers", json::array({split, {{"type", "ByteLevel"}}})}}),
                "regex does not compile", "\"a(\"");
  json odd = split;
  odd["behavior"] = "Shuffled";
  ExpectUnimplemented(CreateWith("/pre_tokenizer", odd), "pre_tokenizer.behavior", "Shuffled");
  odd["behavior"] = "Isolated";
  odd["pattern"] = json::object();
  ExpectInvalid(CreateWith("/pre_tokenizer", odd), "pre_tokenizer.pattern.Regex");
}

TEST(TokenizerMalformed, NamesMergesOfUnknownTokens) {
  ExpectInvalid(CreateWith("/model/merges", json::array({"a b", "ab zz"})), "merge 1", "\"zz\"");
  ExpectInvalid(CreateWith("/model/merges", json::array({"a b", "ab a"})), "merge 1", "\"aba\"");
}

TEST(TokenizerMalformed, NamesMergesWithoutTwoParts) {
  for (const json& merge :
       {json("ab"), json("a b c"), json::array({"a"}), json::array({"a", 1}), json(7), json()}) {
    ExpectInvalid(CreateWith("/model/merges", json::array({"a b", merge})), "model.merges[1]");
  }
}

TEST(TokenizerMalformed, NamesIdsGivenTwice) {
  ExpectInvalid(CreateWith("/model/vocab/ab", 97), "token id is given twice: 97", "\"ab\"");
  ExpectInvalid(CreateWith("/added_tokens", json::array({AddedTokenJson(97, "<s>")})),
                "token id is given twice: 97", "<s>");
}

TEST(TokenizerMalformed, NamesIdsThatAreNone) {
  for (const json& id : {json(-1), json(1.5), json("3"), json(), json(uint64_t{1} << 32)}) {
    ExpectInvalid(CreateWith("/model/vocab/ab", id), "model.vocab", "\"ab\"");
    json added = AddedTokenJson(0, "<s>");
    added["id"] = id;
    ExpectInvalid(CreateWith("/added_tokens", json::array({added})), "added_tokens[0].id", "<s>");
  }
  ExpectInvalid(CreateWith("/model/vocab/ab", uint32_t{1} << 31), "token id too large", "\"ab\"");
}

TEST(TokenizerMalformed, NamesFieldsOfAWrongType) {
  ExpectInvalid(CreateWith("/model", 3), "model is of type number", "expected object");
  ExpectInvalid(CreateWith("/model/vocab", json::array()), "model.vocab is of type array");
  ExpectInvalid(CreateWith("/model/merges", "a b"), "model.merges is of type string");
  ExpectInvalid(CreateWith("/model/ignore_merges", 1), "model.ignore_merges");
  ExpectInvalid(CreateWith("/added_tokens", json::object()), "added_tokens");
  ExpectInvalid(CreateWith("/added_tokens", json::array({1})), "added_tokens[0]");
  ExpectInvalid(CreateWith("/normalizer", "NFC"), "normalizer is of type string");
}

TEST(TokenizerMalformed, NamesMissingFields) {
  ExpectInvalid(CreateWith("/model", nullptr), "missing field", "model");
  ExpectInvalid(CreateWith("/model/merges", nullptr), "missing field", "model.merges");
  ExpectInvalid(CreateWith("/model/vocab", nullptr), "model.vocab");
  ExpectInvalid(CreateWith("/pre_tokenizer", nullptr), "missing field", "pre_tokenizer");
  ExpectInvalid(CreateWith("/decoder", nullptr), "missing field", "decoder");
}

TEST(TokenizerMalformed, RefusesEveryTruncation) {
  const std::string text = TinyTokenizerJson({{"a", "b"}}).dump();
  for (size_t size = 0; size < text.size(); ++size) {
    ExpectInvalid(Tokenizer::Create(text.substr(0, size)).status(), "malformed");
  }
}

TEST(TokenizerMalformed, RefusesInvalidUtf8AndOtherDocuments) {
  ExpectInvalid(Tokenizer::Create("{\"model\": \"\xFF\"}").status(), "malformed");
  ExpectInvalid(Tokenizer::Create("\"\\ud800\"").status(), "malformed");
  ExpectInvalid(Tokenizer::Create("[]").status(), "the document is of type array");
  ExpectInvalid(Tokenizer::Create("null").status(), "the document is of type null");
}

TEST(TokenizerMalformed, BoundsDepthAndSize) {
  ExpectInvalid(Tokenizer::Create(std::string(1'000'000, '[')).status(), "nested too deeply");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  ExpectInvalid(Tokenizer::Create(objects).status(), "nested too deeply");
  ExpectInvalid(Tokenizer::Create(std::string((size_t{128} << 20) + 1, ' ')).status(), "too large");
}

TEST(TokenizerMalformed, FromFileNamesTheFile) {
  const std::string folder = SPEARFISH_SOURCE_DIR "/tests/data/qwen3-moe-3m";
  EXPECT_EQ(Tokenizer::FromFile(folder + "/no_such_file").status().code(),
            absl::StatusCode::kNotFound);
  const absl::Status status = Tokenizer::FromFile(folder + "/config.json").status();
  ExpectInvalid(status, "config.json", "missing field");
}

}  // namespace
}  // namespace spearfish
