#include "tests/integration/pool/process_memory.h"

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/bytes.h"

namespace spearfish::tests {
namespace {

// One mapping of smaps.
struct Area {
  std::string head;  // ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH
  uint64_t bytes = 0;
  uint64_t pss_bytes = 0;
  uint64_t anonymous_bytes = 0;
  bool no_reserve = false;
};

// "Pss:   12 kB" -> 12288.
uint64_t Kibibytes(const std::string& line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  uint64_t value = 0;
  return words.size() >= 2 && absl::SimpleAtoi(words[1], &value) ? value * kKiB : 0;
}

bool IsAreaHead(const std::string& line) {
  const size_t colon = line.find(':');
  return line.find('-') < colon && colon != line.find(": ");
}

// Of a file, mapped privately: a library, say. Its clean pages are the page cache's, and this
// process's share of them changes with whoever else maps the file.
bool IsPrivateFile(const Area& area) {
  const std::vector<std::string> words = absl::StrSplit(area.head, ' ', absl::SkipEmpty());
  return words.size() >= 6 && absl::EndsWith(words[1], "p") && absl::StartsWith(words[5], "/");
}

void Add(const Area& area, const std::string& segment_name, uint64_t device_budget_bytes,
         ProcessMemory& memory) {
  if (absl::StrContains(area.head, segment_name)) {
    memory.segment_pss_bytes += area.pss_bytes;
  } else if (area.no_reserve && area.bytes == device_budget_bytes) {
    memory.device_bytes += area.pss_bytes;
  } else {
    memory.host_bytes += IsPrivateFile(area) ? area.anonymous_bytes : area.pss_bytes;
  }
}

uint64_t LockedBytes(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  uint64_t bytes = 0;
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, "VmLck:") || absl::StartsWith(line, "VmPin:")) {
      bytes += Kibibytes(absl::StrCat(absl::StrReplaceAll(line, {{"\t", " "}})));
    }
  }
  return bytes;
}

}  // namespace

ProcessMemory ReadProcessMemory(pid_t pid, const std::string& segment_name,
                                uint64_t device_budget_bytes) {
  ProcessMemory memory;
  std::ifstream smaps(absl::StrCat("/proc/", pid, "/smaps"));
  Area area;
  for (std::string line; std::getline(smaps, line);) {
    if (IsAreaHead(line)) {
      Add(area, segment_name, device_budget_bytes, memory);
      area = {.head = line};
    } else if (absl::StartsWith(line, "Size:")) {
      area.bytes = Kibibytes(line);
    } else if (absl::StartsWith(line, "Pss:")) {
      area.pss_bytes = Kibibytes(line);
    } else if (absl::StartsWith(line, "Anonymous:")) {
      area.anonymous_bytes = Kibibytes(line);
    } else if (absl::StartsWith(line, "VmFlags:")) {
      area.no_reserve = absl::StrContains(line, " nr");
    }
  }
  Add(area, segment_name, device_budget_bytes, memory);
  memory.locked_bytes = LockedBytes(pid);
  return memory;
}

}  // namespace spearfish::tests
