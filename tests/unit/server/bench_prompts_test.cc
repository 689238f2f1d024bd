#include "server/cli/bench_prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace spearfish::server::cli {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Lt;

TEST(SyntheticPrompt, IsItsOwnForEveryRequestAndSeed) {
  const SyntheticPrompts prompts{.num_tokens = 40, .vocab_size = 1000, .seed = 7};
  const v1::TokenIds first = SyntheticPrompt(prompts, 0);
  EXPECT_EQ(first.ids_size(), 40);
  EXPECT_THAT(first.ids(), Each(Lt(1000u)));
  EXPECT_EQ(first.SerializeAsString(), SyntheticPrompt(prompts, 0).SerializeAsString());
  EXPECT_NE(first.SerializeAsString(), SyntheticPrompt(prompts, 1).SerializeAsString());
  SyntheticPrompts other = prompts;
  other.seed = 8;
  EXPECT_NE(first.SerializeAsString(), SyntheticPrompt(other, 0).SerializeAsString());
}

TEST(ReadPrompts, TakesALineEach) {
  const tests::TempDir folder;
  std::ofstream(folder.File("prompts")) << "one\n\ntwo words\n";
  EXPECT_THAT(*ReadPrompts(folder.File("prompts")), ElementsAre("one", "two words"));
}

TEST(ReadPrompts, SaysWhatIsWrong) {
  const tests::TempDir folder;
  EXPECT_EQ(ReadPrompts(folder.File("none")).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(folder.File("empty")) << "\n";
  EXPECT_EQ(ReadPrompts(folder.File("empty")).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace spearfish::server::cli
