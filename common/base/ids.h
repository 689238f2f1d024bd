// Ids that could be swapped by mistake are types of their own; the underlying value is the index.
#ifndef COMMON_BASE_IDS_H_
#define COMMON_BASE_IDS_H_

#include <cstdint>

namespace spearfish {

enum class LayerId : uint32_t {};
enum class ExpertId : uint32_t {};

// A vocabulary index. Plain, because arrays of them cross the tokenizer, the wire and the device.
using TokenId = uint32_t;

constexpr uint32_t Index(LayerId id) { return static_cast<uint32_t>(id); }
constexpr uint32_t Index(ExpertId id) { return static_cast<uint32_t>(id); }

}  // namespace spearfish

#endif  // COMMON_BASE_IDS_H_
