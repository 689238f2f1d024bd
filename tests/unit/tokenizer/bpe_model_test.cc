#include "common/tokenizer/bpe_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "common/base/check.h"
#include "common/tokenizer/byte_level.h"

namespace spearfish {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The 256 bytes under their own values, then the results of the merges from 256 on.
ModelSpec SpecWith(std::vector<std::pair<std::string, std::string>> merges) {
  ModelSpec spec;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    spec.vocab.emplace_back(BytesToAlphabet({&raw, 1}), byte);
  }
  TokenId id = 256;
  for (const auto& [left, right] : merges) spec.vocab.emplace_back(left + right, id++);
  spec.merges = std::move(merges);
  return spec;
}

class BpeModelTest : public ::testing::Test {
 protected:
  absl::Status Load(const ModelSpec& spec, const std::vector<AddedToken>& added = {}) {
    absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(spec.vocab, added);
    if (!vocabulary.ok()) return vocabulary.status();
    vocabulary_ = std::make_unique<Vocabulary>(*std::move(vocabulary));
    absl::StatusOr<BpeModel> model = BpeModel::Create(*vocabulary_, spec);
    if (!model.ok()) return model.status();
    model_ = std::make_unique<BpeModel>(*std::move(model));
    return absl::OkStatus();
  }

  std::vector<TokenId> Encode(absl::string_view word) {
    BpeModel::Workspace workspace;
    std::vector<TokenId> ids;
    SF_CHECK_OK(model_->EncodeWord(word, workspace, ids));
    return ids;
  }

 private:
  std::unique_ptr<Vocabulary> vocabulary_;
  std::unique_ptr<BpeModel> model_;
};

TEST_F(BpeModelTest, MergesByRankThenFromTheLeft) {
  ASSERT_TRUE(Load(SpecWith({{"b", "c"}, {"a", "b"}, {"a", "a"}})).ok());
  EXPECT_THAT(Encode("abc"), ElementsAre('a', 256));
  EXPECT_THAT(Encode("abab"), ElementsAre(257, 257));
  EXPECT_THAT(Encode("aaaaa"), ElementsAre(258, 258, 'a'));
}

TEST_F(BpeModelTest, MergesTheResultsOfMerges) {
  ASSERT_TRUE(Load(SpecWith({{"t", "h"}, {"th", "e"}, {"\u0120", "the"}})).ok());
  EXPECT_THAT(Encode(" the"), ElementsAre(258));
  EXPECT_THAT(Encode("thth"), ElementsAre(256, 256));
  EXPECT_THAT(Encode("\n"), ElementsAre('\n'));
}

TEST_F(BpeModelTest, EmptyWordHasNoTokens) {
  ASSERT_TRUE(Load(SpecWith({})).ok());
  EXPECT_THAT(Encode(""), ElementsAre());
}

TEST_F(BpeModelTest, WorkspaceCarriesNothingOver) {
  ASSERT_TRUE(Load(SpecWith({{"a", "b"}})).ok());
  EXPECT_THAT(Encode("abab"), ElementsAre(256, 256));
  EXPECT_THAT(Encode("ba"), ElementsAre('b', 'a'));
}

TEST_F(BpeModelTest, IgnoreMergesKeepsAWholeWord) {
  ModelSpec spec = SpecWith({{"a", "b"}});
  spec.vocab.emplace_back("xyz", 300);
  spec.ignore_merges = true;
  ASSERT_TRUE(Load(spec).ok());
  EXPECT_THAT(Encode("xyz"), ElementsAre(300));
  EXPECT_THAT(Encode("xyzab"), ElementsAre('x', 'y', 'z', 256));
}

TEST_F(BpeModelTest, IgnoreMergesNeverMakesASpecialToken) {
  ModelSpec spec = SpecWith({});
  spec.vocab.emplace_back("<s>", 300);
  spec.ignore_merges = true;
  ASSERT_TRUE(Load(spec, {{.id = 300, .text = "<s>", .special = true}}).ok());
  EXPECT_THAT(Encode("<s>"), ElementsAre('<', 's', '>'));
}

TEST_F(BpeModelTest, UnknownBytesBecomeTheUnknownToken) {
  ModelSpec spec{.vocab = {{"a", 0}, {"<unk>", 1}}, .merges = {}, .unk_token = "<unk>"};
  ASSERT_TRUE(Load(spec).ok());
  EXPECT_THAT(Encode("abca"), ElementsAre(0, 1, 1, 0));
  spec.fuse_unk = true;
  ASSERT_TRUE(Load(spec).ok());
  EXPECT_THAT(Encode("abcad"), ElementsAre(0, 1, 0, 1));
}

TEST_F(BpeModelTest, NamesAByteThatNoTokenStandsFor) {
  const ModelSpec spec{.vocab = {{"a", 0}}, .merges = {}, .unk_token = {}};
  const absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(spec.vocab, {});
  ASSERT_TRUE(vocabulary.ok());
  const absl::StatusOr<BpeModel> model = BpeModel::Create(*vocabulary, spec);
  ASSERT_TRUE(model.ok());
  BpeModel::Workspace workspace;
  std::vector<TokenId> ids;
  const absl::Status status = model->EncodeWord("ab", workspace, ids);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("0x62"));
}

TEST_F(BpeModelTest, NamesAMergeOfUnknownTokens) {
  ModelSpec spec = SpecWith({{"a", "b"}});
  spec.merges.emplace_back("ab", "qq");
  const absl::Status part = Load(spec);
  EXPECT_EQ(part.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(part.message(), AllOf(HasSubstr("merge 1"), HasSubstr("but \"qq\"")));
  spec.merges.back() = {"ab", "c"};
  EXPECT_THAT(Load(spec).message(), HasSubstr("but \"abc\" is not in the vocabulary"));
}

TEST_F(BpeModelTest, NamesAnUnknownUnkToken) {
  ModelSpec spec = SpecWith({});
  spec.unk_token = "<unk>";
  EXPECT_THAT(Load(spec).message(), HasSubstr("unk_token is not in the vocabulary: \"<unk>\""));
}

// Rescanning the word after every merge would take 10^12 steps, and the test its time limit.
TEST_F(BpeModelTest, MergesAMegabyteOfOneLetter) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string half = "a"; half.size() < 32; half += half) merges.emplace_back(half, half);
  ASSERT_TRUE(Load(SpecWith(merges)).ok());
  const std::vector<TokenId> ids = Encode(std::string(1 << 20, 'a'));
  EXPECT_EQ(ids.size(), size_t{1 << 20} / 32);
  EXPECT_THAT(ids, Each(260u));
}

}  // namespace
}  // namespace spearfish
