#include "kernels/cpu/arena.h"

#include <cstring>
#include <map>
#include <random>

#include "gtest/gtest.h"

namespace spearfish::kernels {
namespace {

std::unique_ptr<Arena> MakeArena(uint64_t bytes) {
  auto arena = Arena::Create(bytes);
  EXPECT_TRUE(arena.ok()) << arena.status();
  return *std::move(arena);
}

TEST(ArenaTest, AlignsAndCounts) {
  const auto arena = MakeArena(64 * 1024);
  EXPECT_EQ(arena->budget_bytes(), 64u * 1024);
  std::byte* a = arena->Allocate(1, "a").value();
  std::byte* b = arena->Allocate(257, "b").value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % Arena::kAlignment, 0u);
  EXPECT_EQ(b - a, 256);
  EXPECT_EQ(arena->allocated_bytes(), 256u + 512u);
  arena->Free(a);
  arena->Free(b);
  EXPECT_EQ(arena->allocated_bytes(), 0u);
}

TEST(ArenaTest, ReusesTheFirstRangeThatFits) {
  const auto arena = MakeArena(4096);
  std::byte* a = arena->Allocate(512, "a").value();
  std::byte* b = arena->Allocate(512, "b").value();
  arena->Free(a);
  EXPECT_EQ(arena->Allocate(256, "c").value(), a);
  EXPECT_EQ(arena->Allocate(512, "d").value(), b + 512);
}

TEST(ArenaTest, JoinsNeighboursOnBothSides) {
  const auto arena = MakeArena(3 * 256);
  std::byte* a = arena->Allocate(256, "a").value();
  std::byte* b = arena->Allocate(256, "b").value();
  std::byte* c = arena->Allocate(256, "c").value();
  arena->Free(a);
  arena->Free(c);
  arena->Free(b);
  EXPECT_EQ(arena->Allocate(3 * 256, "all").value(), a);
}

TEST(ArenaTest, ExhaustionNamesUseAndFigures) {
  constexpr uint64_t kMiB = 1 << 20;
  const auto arena = MakeArena(4 * kMiB);
  std::byte* first = arena->Allocate(kMiB, "weights").value();
  ASSERT_TRUE(arena->Allocate(kMiB, "pool").ok());
  arena->Free(first);
  const absl::Status status = arena->Allocate(5 * kMiB / 2, "KV cache").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(status.message()),
            "device memory exhausted: KV cache needs 2.5 MiB; 3.0 MiB of 4.0 MiB are free, the "
            "largest range 2.0 MiB; raise the device's budget");
  EXPECT_EQ(arena->allocated_bytes(), kMiB);
}

TEST(ArenaTest, AbsurdSizesAreRefusedWithoutWrapping) {
  const auto arena = MakeArena(4096);
  EXPECT_EQ(arena->Allocate(SIZE_MAX, "x").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Arena::Create(0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Arena::Create(uint64_t{1} << 60).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ArenaTest, RandomUseNeverOverlapsAndComesBackWhole) {
  constexpr uint64_t kBudget = 1 << 20;
  const auto arena = MakeArena(kBudget);
  std::mt19937 random(1);
  std::map<std::byte*, std::pair<size_t, int>> live;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0 || live.empty()) {
      const size_t bytes = random() % 20000 + 1;
      auto data = arena->Allocate(bytes, "x");
      if (!data.ok()) continue;
      std::memset(*data, i & 0xff, bytes);
      ASSERT_TRUE(live.emplace(*data, std::pair(bytes, i & 0xff)).second);
    } else {
      const auto victim = std::next(live.begin(), static_cast<long>(random() % live.size()));
      const auto [bytes, value] = victim->second;
      EXPECT_EQ(static_cast<int>(victim->first[0]), value);
      EXPECT_EQ(static_cast<int>(victim->first[bytes - 1]), value);
      arena->Free(victim->first);
      live.erase(victim);
    }
  }
  for (const auto& [data, entry] : live) arena->Free(data);
  EXPECT_EQ(arena->allocated_bytes(), 0u);
  EXPECT_TRUE(arena->Allocate(kBudget, "all").ok());
}

TEST(ArenaDeathTest, FreeingTwiceIsABrokenInvariant) {
  const auto arena = MakeArena(4096);
  std::byte* a = arena->Allocate(16, "a").value();
  arena->Free(a);
  EXPECT_DEATH(arena->Free(a), "");
}

}  // namespace
}  // namespace spearfish::kernels
