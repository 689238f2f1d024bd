// Any text: the heatmap reader fails cleanly, or what it returns keeps the promises of its header.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "worker/experts/heatmap_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<spearfish::worker::Heatmap> heatmap =
      spearfish::worker::ParseHeatmap(text, "fuzz");
  if (!heatmap.ok()) return 0;
  SF_CHECK(heatmap->num_moe_layers > 0 && heatmap->num_experts > 0);
  SF_CHECK(heatmap->counts.size() == size_t{heatmap->num_moe_layers} * heatmap->num_experts);
  SF_CHECK(heatmap->identity.size() == 16);
  double total = 0;
  for (const double count : heatmap->counts) {
    SF_CHECK(count >= 0);
    total += count;
  }
  SF_CHECK(std::isfinite(total));
  return 0;
}
