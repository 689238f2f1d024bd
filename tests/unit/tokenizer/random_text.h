// Seeded random text that favours what tokenizers get wrong.
#ifndef TESTS_UNIT_TOKENIZER_RANDOM_TEXT_H_
#define TESTS_UNIT_TOKENIZER_RANDOM_TEXT_H_

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <utility>

namespace spearfish {

// Characters from ASCII, control characters, line breaks and odd spaces, digits of several scripts,
// combining marks, Hangul, CJK, emoji with joiners, and anything else up to U+10FFFF.
class RandomText {
 public:
  explicit RandomText(uint32_t seed) : random_(seed) {}

  std::string Next(int most_characters) {
    std::string text;
    for (int n = Below(most_characters + 1); n > 0; --n) Append(NextCharacter(), text);
    return text;
  }

  int Below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }

 private:
  uint32_t NextCharacter() {
    using Range = std::pair<uint32_t, uint32_t>;
    static constexpr std::array<Range, 18> kRanges = {{{0x61, 0x7A},
                                                       {0x20, 0x7E},
                                                       {0x20, 0x20},
                                                       {0x00, 0x1F},
                                                       {0x0A, 0x0D},
                                                       {0x30, 0x39},
                                                       {0x80, 0x24F},
                                                       {0x300, 0x36F},
                                                       {0x391, 0x44F},
                                                       {0x5D0, 0x669},
                                                       {0x900, 0x97F},
                                                       {0x1100, 0x11FF},
                                                       {0x2000, 0x206F},
                                                       {0x3040, 0x30FF},
                                                       {0x4E00, 0x9FFF},
                                                       {0xAC00, 0xD7A3},
                                                       {0x1F300, 0x1F64F},
                                                       {0x0, 0x10FFFF}}};
    const Range& range = kRanges[Below(kRanges.size())];
    const uint32_t c = std::uniform_int_distribution<uint32_t>(range.first, range.second)(random_);
    return c >= 0xD800 && c < 0xE000 ? 0xFFFD : c;  // surrogates are no characters
  }

  static void Append(uint32_t c, std::string& text) {
    const auto tail = [&](int shift) {
      text.push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3F)));
    };
    if (c < 0x80) {
      text.push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      text.push_back(static_cast<char>(0xC0 | (c >> 6)));
      tail(0);
    } else if (c < 0x10000) {
      text.push_back(static_cast<char>(0xE0 | (c >> 12)));
      tail(6);
      tail(0);
    } else {
      text.push_back(static_cast<char>(0xF0 | (c >> 18)));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  std::mt19937 random_;
};

}  // namespace spearfish

#endif  // TESTS_UNIT_TOKENIZER_RANDOM_TEXT_H_
