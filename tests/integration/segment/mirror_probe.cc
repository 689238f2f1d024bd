// What the origin of the project did: attaches the expert cache and copies every record into
// private memory. Under a limit that the cache and a mirror of it don't fit, the kernel kills it.
//
// usage: mirror_probe CACHE
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "common/expert_cache/cache_file.h"

int main(int argc, char** argv) {
  using namespace spearfish;  // NOLINT(google-build-using-namespace): a program of one function
  if (argc != 2) return 2;
  const auto file = CacheFile::Open(argv[1]);
  if (!file.ok()) {
    std::fprintf(stderr, "%s\n", file.status().ToString().c_str());
    return 1;
  }
  const CacheView& cache = (*file)->cache();
  std::vector<std::unique_ptr<std::byte[]>> mirror;
  for (uint32_t layer = 0; layer < cache.num_layers(); ++layer) {
    if (!cache.has_layer(LayerId{layer})) continue;
    for (uint32_t expert = 0; expert < cache.num_experts(); ++expert) {
      const auto record = cache.Record(LayerId{layer}, ExpertId{expert});
      mirror.push_back(std::make_unique<std::byte[]>(record.size()));
      std::memcpy(mirror.back().get(), record.data(), record.size());
    }
  }
  std::printf("mirrored %zu records\n", mirror.size());
  return 0;
}
