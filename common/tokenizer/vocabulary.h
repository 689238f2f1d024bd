// Every token of a tokenizer, by id and by text.
#ifndef COMMON_TOKENIZER_VOCABULARY_H_
#define COMMON_TOKENIZER_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/tokenizer_spec.h"

namespace spearfish {

// Owns the tokens' texts and bytes. Immutable after Create; any thread may read it.
class Vocabulary {
 public:
  // Larger ids than any vocabulary has; bounds the table that a hostile file can ask for.
  static constexpr TokenId kIdLimit = TokenId{1} << 22;

  // Takes the model's tokens (in the byte-level alphabet; one that is not in it stands for its own
  // UTF-8) and the added tokens. An added token may repeat a model token of the same id.
  // InvalidArgument, naming the entry, for an id or a text given twice and an id past kIdLimit.
  static absl::StatusOr<Vocabulary> Create(
      const std::vector<std::pair<std::string, TokenId>>& model_tokens,
      const std::vector<AddedToken>& added_tokens);

  // The raw bytes of a token; nullopt for an id that no token has.
  std::optional<absl::string_view> Bytes(TokenId id) const;
  bool IsSpecial(TokenId id) const;

  std::optional<TokenId> FindModelToken(absl::string_view text) const;
  std::optional<TokenId> FindAddedToken(absl::string_view text) const;

  // One more than the largest id.
  uint32_t size() const { return static_cast<uint32_t>(tokens_.size()); }

 private:
  enum class Origin : uint8_t { kNone, kModel, kAdded, kSpecial };
  struct Token {
    uint32_t begin = 0;  // in bytes_
    uint32_t size = 0;
    Origin origin = Origin::kNone;
  };
  using TextToId = absl::flat_hash_map<std::string, TokenId>;

  Vocabulary() = default;

  absl::Status AddModelToken(absl::string_view text, TokenId id);
  absl::Status AddAddedToken(const AddedToken& token);
  absl::Status CheckId(absl::string_view text, TokenId id) const;
  void SetToken(TokenId id, absl::string_view bytes, Origin origin);

  std::vector<Token> tokens_;  // by id
  std::string bytes_;          // of all tokens, one after the other
  TextToId model_ids_;
  TextToId added_ids_;
};

}  // namespace spearfish

#endif  // COMMON_TOKENIZER_VOCABULARY_H_
