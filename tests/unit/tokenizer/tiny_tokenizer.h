// A byte-level tokenizer.json with no more than a test needs: the 256 bytes, then the results of
// the given merges.
#ifndef TESTS_UNIT_TOKENIZER_TINY_TOKENIZER_H_
#define TESTS_UNIT_TOKENIZER_TINY_TOKENIZER_H_

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/tokenizer/byte_level.h"

namespace spearfish {

using Merges = std::vector<std::pair<std::string, std::string>>;

// The id of a byte is its value; merge i makes token 256 + i.
inline nlohmann::json TinyTokenizerJson(const Merges& merges = {}) {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    vocab[BytesToAlphabet({&raw, 1})] = byte;
  }
  nlohmann::json pairs = nlohmann::json::array();
  for (const auto& [left, right] : merges) {
    vocab[left + right] = 256 + pairs.size();
    pairs.push_back({left, right});
  }
  return {
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", pairs}}}};
}

inline nlohmann::json AddedTokenJson(int id, const std::string& text) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", false}};
}

}  // namespace spearfish

#endif  // TESTS_UNIT_TOKENIZER_TINY_TOKENIZER_H_
