// What is in a folder of segments: list, verify, remove.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/mapped_file.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/cache_file.h"
#include "common/expert_cache/cache_image.h"
#include "common/expert_cache/cache_verifier.h"
#include "common/expert_cache/huge_pages.h"
#include "common/segment/election_lock.h"
#include "common/segment/expert_cache_segment.h"
#include "common/segment/segment_populator.h"

namespace spearfish {
namespace {

// "spearfish-" and 16 hex digits: nothing else is ever listed or removed.
bool IsSegmentName(absl::string_view name) {
  constexpr absl::string_view kHexDigits = "0123456789abcdef";
  return absl::ConsumePrefix(&name, "spearfish-") && name.size() == 16 &&
         std::ranges::all_of(name, [&](char c) { return absl::StrContains(kHexDigits, c); });
}

absl::StatusOr<std::string> PathOf(const std::string& directory, const std::string& name) {
  if (!IsSegmentName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a segment name: '", name, "'; see spearfish-pack list"));
  }
  return absl::StrCat(directory, "/", name);
}

std::string StateText(const CacheHeaderView& header) {
  switch (header.state()) {
    case CacheState::kReady:
      return "ready";
    case CacheState::kPopulating:
      return absl::StrCat("populating ", header.num_layers_ready(), "/",
                          header.header().num_moe_layers);
    case CacheState::kFailed:
      return "failed";
  }
  return "unreadable";
}

SegmentInfo Describe(const std::string& path, const std::string& name) {
  SegmentInfo info;
  info.name = name;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    const uintmax_t bytes = std::filesystem::file_size(UnfinishedSegmentPath(path), error);
    info.bytes = error ? 0 : bytes;
    info.state = "allocating";
    return info;
  }
  const auto file = MappedFile::Open(path);
  if (!file.ok()) {
    info.state = absl::StrCat("unreadable: ", file.status().message());
    return info;
  }
  info.bytes = (*file)->bytes().size();
  const auto header = CacheHeaderView::Open(TrimToImage((*file)->bytes(), HugePageBytes(path)));
  if (!header.ok()) {
    info.state = absl::StrCat("unreadable: ", header.status().message());
    return info;
  }
  info.model_name = header->header().model_name.data();
  info.bits = header->header().bits;
  info.state = StateText(*header);
  return info;
}

}  // namespace

absl::StatusOr<std::vector<SegmentInfo>> ListSegments(const std::string& directory) {
  std::error_code error;
  std::set<std::string> names;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string file = it->path().filename().string();
    const absl::string_view name = absl::StripSuffix(file, ".new");
    if (IsSegmentName(name)) names.emplace(name);
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read folder ", directory));
  }
  std::vector<SegmentInfo> segments;
  segments.reserve(names.size());
  for (const std::string& name : names) {
    segments.push_back(Describe(absl::StrCat(directory, "/", name), name));
  }
  return segments;
}

absl::Status VerifySegment(const std::string& directory, const std::string& name) {
  SF_ASSIGN_OR_RETURN(const std::string path, PathOf(directory, name));
  SF_ASSIGN_OR_RETURN(const auto file, CacheFile::Open(path));
  return VerifyCache(file->cache(), {}, nullptr);
}

absl::Status RemoveSegment(const std::string& directory, const std::string& name) {
  SF_ASSIGN_OR_RETURN(const std::string path, PathOf(directory, name));
  const std::string unfinished = UnfinishedSegmentPath(path);
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !std::filesystem::exists(unfinished, error)) {
    return absl::NotFoundError(
        absl::StrCat("no such segment: ", path, "; see spearfish-pack list"));
  }
  SF_ASSIGN_OR_RETURN(const auto lock, ElectionLock::TryAcquire(path));
  if (lock == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("segment in use by its populator: ", name, "; stop that process first"));
  }
  unlink(unfinished.c_str());
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot remove ", path));
  }
  lock->RemoveFile();
  return absl::OkStatus();
}

}  // namespace spearfish
