#include "common/tokenizer/tokenizer.h"

#include "absl/strings/str_cat.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/tokenizer/byte_bpe_tokenizer.h"
#include "common/tokenizer/tokenizer_json.h"

namespace spearfish {

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(absl::string_view json_text) {
  SF_ASSIGN_OR_RETURN(const TokenizerSpec spec, ParseTokenizerJson(json_text));
  return ByteBpeTokenizer::Create(spec);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromFile(const std::string& path) {
  SF_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file->bytes();
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer =
      Create({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (tokenizer.ok()) return tokenizer;
  return absl::Status(tokenizer.status().code(),
                      absl::StrCat(tokenizer.status().message(), " (", path, ")"));
}

}  // namespace spearfish
