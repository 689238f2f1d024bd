#include "worker/experts/registered_records.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/status_macros.h"

namespace spearfish::worker {
namespace {

struct PlacedRecord {
  std::span<const std::byte> bytes;
  size_t index;  // in the address list
};

// All records, in order of address.
std::vector<PlacedRecord> PlaceRecords(const CacheView& cache) {
  std::vector<PlacedRecord> records;
  records.reserve(cache.num_records());
  for (uint32_t layer = 0; layer < cache.num_layers(); ++layer) {
    if (!cache.has_layer(LayerId{layer})) continue;
    for (uint32_t expert = 0; expert < cache.num_experts(); ++expert) {
      records.push_back({cache.Record(LayerId{layer}, ExpertId{expert}), records.size()});
    }
  }
  std::sort(records.begin(), records.end(), [](const PlacedRecord& a, const PlacedRecord& b) {
    return a.bytes.data() < b.bytes.data();
  });
  return records;
}

// How many of the records from `first` on one registration takes: at least one, and as many as end
// within max_bytes of the first one's start.
size_t PieceLength(std::span<const PlacedRecord> records, size_t first, uint64_t max_bytes) {
  const std::byte* begin = records[first].bytes.data();
  size_t length = 1;
  while (first + length < records.size()) {
    const std::span<const std::byte> next = records[first + length].bytes;
    if (static_cast<uint64_t>(next.data() + next.size() - begin) > max_bytes) break;
    ++length;
  }
  return length;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RegisteredRecords>> RegisteredRecords::Create(
    const CacheView& cache, kernels::Device& device, uint64_t max_piece_bytes) {
  auto registered = absl::WrapUnique(new RegisteredRecords);
  const std::vector<PlacedRecord> records = PlaceRecords(cache);
  registered->addresses_.resize(records.size());
  for (size_t first = 0; first < records.size();) {
    const size_t length = PieceLength(records, first, max_piece_bytes);
    const std::byte* begin = records[first].bytes.data();
    const std::span<const std::byte> last = records[first + length - 1].bytes;
    SF_ASSIGN_OR_RETURN(auto registration, device.RegisterHost({begin, last.data() + last.size()}));
    const auto base = reinterpret_cast<uint64_t>(registration->device_address());
    for (size_t i = first; i < first + length; ++i) {
      registered->addresses_[records[i].index] =
          base + static_cast<uint64_t>(records[i].bytes.data() - begin);
    }
    registered->registrations_.push_back(std::move(registration));
    first += length;
  }
  return registered;
}

}  // namespace spearfish::worker
