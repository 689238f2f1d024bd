#include "common/segment/cgroup_memory.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace spearfish {
namespace {

// What the two versions call the same things.
struct Files {
  const char* limit;
  const char* usage;
  std::vector<const char*> droppable;  // keys of memory.stat, over the whole subtree
};

const Files& V2() {
  static const Files files = {"memory.max", "memory.current", {"active_file", "inactive_file"}};
  return files;
}

const Files& V1() {
  static const Files files = {"memory.limit_in_bytes",
                              "memory.usage_in_bytes",
                              {"total_active_file", "total_inactive_file"}};
  return files;
}

// v1 says "no limit" by the largest multiple of a page.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

struct Mount {
  const Files* files;
  std::string root;   // the cgroup that is mounted
  std::string point;  // where
};

// A line of mountinfo: "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory".
std::optional<Mount> ParseMount(const std::string& line) {
  const std::vector<std::string> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
  if (halves.size() != 2) return std::nullopt;
  const std::vector<std::string> left = absl::StrSplit(halves[0], ' ');
  const std::vector<std::string> right = absl::StrSplit(halves[1], ' ');
  if (left.size() < 5 || right.size() < 3) return std::nullopt;
  const std::vector<std::string> options = absl::StrSplit(right[2], ',');
  const bool v1 = right[0] == "cgroup" && std::ranges::count(options, "memory") > 0;
  if (!v1 && right[0] != "cgroup2") return std::nullopt;
  return Mount{v1 ? &V1() : &V2(), left[3], left[4]};
}

std::vector<Mount> FindMounts(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    if (auto mount = ParseMount(line)) mounts.push_back(*std::move(mount));
  }
  return mounts;
}

// This process's cgroup in the hierarchy: "4:memory:/path" (v1), "0::/path" (v2).
std::optional<std::string> OwnPath(const std::string& root, const Files& version) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    const bool is_v1 = std::ranges::count(controllers, "memory") > 0;
    const bool is_v2 = fields[0] == "0" && fields[1].empty();
    if (&version == &V1() ? is_v1 : is_v2) return fields[2];
  }
  return std::nullopt;
}

// Below the mount point: "" for the mounted cgroup itself. A path outside of what is mounted (a
// container that sees only its own part) stands for the mount point.
std::string Below(const std::string& path, const Mount& mount) {
  absl::string_view rest = path;
  if (mount.root != "/" && !absl::ConsumePrefix(&rest, mount.root)) return "";
  if (absl::StartsWith(rest, "/..")) return "";
  return std::string(absl::StripSuffix(rest, "/"));
}

std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  uint64_t number = 0;
  if (!(file >> text) || !absl::SimpleAtoi(text, &number)) return std::nullopt;  // "max" too
  return number;
}

uint64_t DroppableBytes(const std::string& folder, const Files& files) {
  std::ifstream stat(folder + "/memory.stat");
  uint64_t sum = 0;
  std::string key;
  uint64_t bytes = 0;
  while (stat >> key >> bytes) {
    for (const char* const droppable : files.droppable) sum += key == droppable ? bytes : 0;
  }
  return sum;
}

std::optional<MemoryPool> ReadPool(const std::string& root, const std::string& folder,
                                   const Files& files) {
  const auto limit = ReadNumber(absl::StrCat(root, folder, "/", files.limit));
  const auto usage = ReadNumber(absl::StrCat(root, folder, "/", files.usage));
  if (!limit || !usage || *limit >= kNoLimit) return std::nullopt;
  const uint64_t kept = *usage - std::min(*usage, DroppableBytes(root + folder, files));
  return MemoryPool{.name = "cgroup " + folder,
                    .total_bytes = *limit,
                    .available_bytes = *limit - std::min(*limit, kept)};
}

}  // namespace

std::vector<MemoryPool> ReadCgroupMemory(const std::string& root) {
  std::vector<MemoryPool> pools;
  for (const Mount& mount : FindMounts(root)) {
    const auto own = OwnPath(root, *mount.files);
    if (!own) continue;
    std::string below = Below(*own, mount);
    for (;;) {
      if (auto pool = ReadPool(root, mount.point + below, *mount.files)) {
        pools.push_back(*std::move(pool));
      }
      if (below.empty()) break;
      below.resize(below.rfind('/') == std::string::npos ? 0 : below.rfind('/'));
    }
  }
  return pools;
}

}  // namespace spearfish
