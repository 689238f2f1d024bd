// Cache images on hugetlbfs, whose files are whole huge pages: there, and only there, an image may
// be followed by zeros up to the end of its last page.
#ifndef COMMON_EXPERT_CACHE_HUGE_PAGES_H_
#define COMMON_EXPERT_CACHE_HUGE_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace spearfish {

// The page size of the hugetlbfs that holds `path`; 0 for any other file system.
uint64_t HugePageBytes(const std::string& path);

// How long a file must be that holds `image_bytes`. `huge_page_bytes` 0: exactly that.
uint64_t FileBytes(uint64_t image_bytes, uint64_t huge_page_bytes);

// `file` without the zeros that its last huge page has after the image, whose length its header
// gives; `file` itself where they aren't just that (CacheHeaderView::Open then says what is wrong).
std::span<const std::byte> TrimToImage(std::span<const std::byte> file, uint64_t huge_page_bytes);

}  // namespace spearfish

#endif  // COMMON_EXPERT_CACHE_HUGE_PAGES_H_
