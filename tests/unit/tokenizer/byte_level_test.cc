#include "common/tokenizer/byte_level.h"

#include <gtest/gtest.h>

#include <set>

namespace spearfish {
namespace {

std::string AllBytes() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

TEST(ByteLevel, WritesKnownBytes) {
  EXPECT_EQ(BytesToAlphabet(" "), "\u0120");
  EXPECT_EQ(BytesToAlphabet("\n"), "\u010A");
  EXPECT_EQ(BytesToAlphabet(absl::string_view("\0", 1)), "\u0100");
  EXPECT_EQ(BytesToAlphabet("\x7F"), "\u0121");
  EXPECT_EQ(BytesToAlphabet("\xAD"), "\u0143");
  EXPECT_EQ(BytesToAlphabet("Az~!"), "Az~!");
  EXPECT_EQ(BytesToAlphabet("\u00E9"), "\u00C3\u00A9");
}

TEST(ByteLevel, ReadsBackEveryByte) {
  EXPECT_EQ(AlphabetToBytes(BytesToAlphabet(AllBytes())), AllBytes());
}

TEST(ByteLevel, GivesEveryByteItsOwnCharacter) {
  std::set<std::string> characters;
  for (const char byte : AllBytes()) characters.insert(BytesToAlphabet({&byte, 1}));
  EXPECT_EQ(characters.size(), 256u);
}

TEST(ByteLevel, RejectsCharactersOutsideTheAlphabet) {
  for (const char* text : {" ", "a b", "\n", "\u00AD", "\u0144", "\u4E2D", "\U0001F600", "\x7F"}) {
    EXPECT_EQ(AlphabetToBytes(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace spearfish
