#include "worker/rpc/mapping_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace spearfish::worker {
namespace {

constexpr char kSmaps[] =
    "1000-3000 r--s 00000000 00:19 12 /dev/shm/spearfish-1\n"
    "Size:                  8 kB\n"
    "Rss:                   8 kB\n"
    "Pss:                   4 kB\n"
    "Pss_Dirty:             4 kB\n"
    "VmFlags: rd sh mr mw me ms sd\n"
    "3000-4000 r--s 00002000 00:19 12 /dev/shm/spearfish-1\n"
    "Rss:                   4 kB\n"
    "Pss:                   1 kB\n"
    "4000-9000 rw-p 00000000 00:00 0 [heap]\n"
    "Rss:                1000 kB\n"
    "Pss:                1000 kB\n";

TEST(MappingMemory, SumsTheAreasInside) {
  const auto memory = ParseSmaps(kSmaps, {.begin = 0x1000, .end = 0x4000});
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(memory->rss_bytes, 12u << 10);
  EXPECT_EQ(memory->pss_bytes, 5u << 10);
}

TEST(MappingMemory, AnAbsentMappingIsNotFound) {
  EXPECT_EQ(ParseSmaps(kSmaps, {.begin = 0x100000, .end = 0x200000}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ParseSmaps("", {.begin = 0, .end = 1}).status().code(), absl::StatusCode::kNotFound);
}

TEST(MappingMemory, GarbageCountsNothing) {
  const auto memory =
      ParseSmaps("1000-2000 r--s\nRss: x kB\nPss: -1 kB\nRss: 99999999999999999999 kB\n-\n1-x\n",
                 {.begin = 0x1000, .end = 0x2000});
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(memory->rss_bytes, 0u);
  EXPECT_EQ(memory->pss_bytes, 0u);
}

TEST(MappingMemory, ReadsThisProcess) {
  const size_t page = sysconf(_SC_PAGESIZE);
  void* memory = mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  static_cast<volatile char*>(memory)[page] = 1;
  const auto read = ReadMappingMemory({static_cast<const std::byte*>(memory), 4 * page});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->rss_bytes, page);
  EXPECT_EQ(read->pss_bytes, page);
  munmap(memory, 4 * page);
}

}  // namespace
}  // namespace spearfish::worker
