#include "common/safetensors/safetensors_file.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/config/json_document.h"

namespace spearfish {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kPrefixBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit

struct DTypeEntry {
  absl::string_view name;
  DType dtype;
  uint64_t bytes;  // of one element
};

constexpr std::array<DTypeEntry, 16> kDTypes = {{{"F32", DType::kF32, 4},
                                                 {"BF16", DType::kBF16, 2},
                                                 {"F16", DType::kF16, 2},
                                                 {"I64", DType::kI64, 8},
                                                 {"I32", DType::kI32, 4},
                                                 {"I8", DType::kI8, 1},
                                                 {"U8", DType::kU8, 1},
                                                 {"F64", DType::kOther, 8},
                                                 {"U64", DType::kOther, 8},
                                                 {"U32", DType::kOther, 4},
                                                 {"I16", DType::kOther, 2},
                                                 {"U16", DType::kOther, 2},
                                                 {"BOOL", DType::kOther, 1},
                                                 {"F8_E4M3", DType::kOther, 1},
                                                 {"F8_E5M2", DType::kOther, 1},
                                                 {"F8_E8M0", DType::kOther, 1}}};

absl::Status Bad(absl::string_view tensor, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("bad safetensors entry '", tensor, "': ", what, "; fetch the file again"));
}

// The JSON text, after its length prefix has been held against the file's size.
absl::StatusOr<absl::string_view> HeaderText(std::span<const std::byte> file) {
  if (file.size() < kPrefixBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("safetensors file truncated: ", file.size(), " bytes; fetch the file again"));
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), kPrefixBytes);
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("safetensors header too long: it claims ", header_bytes,
                     " bytes, the limit is ", kMaxHeaderBytes, "; is this a safetensors file?"));
  }
  if (header_bytes > file.size() - kPrefixBytes) {
    return absl::InvalidArgumentError(absl::StrCat("safetensors file truncated: the header claims ",
                                                   header_bytes, " bytes, the file has ",
                                                   file.size(), "; fetch the file again"));
  }
  return absl::string_view(reinterpret_cast<const char*>(file.data()) + kPrefixBytes, header_bytes);
}

absl::Status ParseShape(absl::string_view name, const Json& entry, HostTensor& tensor) {
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array()) return Bad(name, "shape is not a list");
  int64_t elements = 1;
  for (const Json& dim : *shape) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX) {
      return Bad(name, absl::StrCat("dimension ", tensor.shape.size(), " is not a size"));
    }
    tensor.shape.push_back(dim.get<int64_t>());
    if (__builtin_mul_overflow(elements, tensor.shape.back(), &elements)) {
      return Bad(name, "its shape overflows");
    }
  }
  return absl::OkStatus();
}

// Bytes that shape x dtype make; nothing for a dtype whose element size is not known.
absl::StatusOr<std::optional<uint64_t>> ParseDType(absl::string_view name, const Json& entry,
                                                   HostTensor& tensor) {
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) return Bad(name, "dtype is not a string");
  const auto& text = dtype->get_ref<const std::string&>();
  for (const DTypeEntry& known : kDTypes) {
    if (known.name != text) continue;
    tensor.dtype = known.dtype;
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(tensor.num_elements()), known.bytes, &bytes)) {
      return Bad(name, "its size overflows");
    }
    return bytes;
  }
  tensor.dtype = DType::kOther;
  return std::nullopt;
}

absl::Status ParseRange(absl::string_view name, const Json& entry, std::span<const std::byte> data,
                        HostTensor& tensor) {
  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 ||
      !offsets->at(0).is_number_unsigned() || !offsets->at(1).is_number_unsigned()) {
    return Bad(name, "data_offsets is not a pair of sizes");
  }
  const auto begin = offsets->at(0).get<uint64_t>();
  const auto end = offsets->at(1).get<uint64_t>();
  if (begin > end)
    return Bad(name, absl::StrCat("it ends at ", end, " before it begins at ", begin));
  if (end > data.size()) {
    return Bad(name, absl::StrCat("it ends at byte ", end, " of the data, which has ", data.size(),
                                  ": truncated"));
  }
  tensor.bytes = data.subspan(begin, end - begin);
  return absl::OkStatus();
}

absl::StatusOr<HostTensor> ParseEntry(absl::string_view name, const Json& entry,
                                      std::span<const std::byte> data) {
  if (!entry.is_object()) return Bad(name, "not a JSON object");
  HostTensor tensor;
  SF_RETURN_IF_ERROR(ParseShape(name, entry, tensor));
  SF_ASSIGN_OR_RETURN(const std::optional<uint64_t> expected, ParseDType(name, entry, tensor));
  SF_RETURN_IF_ERROR(ParseRange(name, entry, data, tensor));
  if (expected.has_value() && *expected != tensor.bytes.size()) {
    return Bad(name, absl::StrCat("[", absl::StrJoin(tensor.shape, ", "), "] needs ", *expected,
                                  " bytes, its range has ", tensor.bytes.size()));
  }
  return tensor;
}

absl::Status CheckDisjoint(const TensorIndex& tensors) {
  std::vector<std::pair<const std::byte*, const TensorIndex::value_type*>> ranges;
  for (const auto& item : tensors) {
    if (!item.second.bytes.empty()) ranges.emplace_back(item.second.bytes.data(), &item);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    const auto& [name, tensor] = *ranges[i - 1].second;
    if (tensor.bytes.data() + tensor.bytes.size() <= ranges[i].first) continue;
    return Bad(ranges[i].second->first, absl::StrCat("its bytes overlap those of '", name, "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TensorIndex> ParseSafetensors(std::span<const std::byte> file) {
  SF_ASSIGN_OR_RETURN(const absl::string_view text, HeaderText(file));
  SF_ASSIGN_OR_RETURN(const Json header, ParseJson(text, "safetensors header"));
  if (!header.is_object()) {
    return absl::InvalidArgumentError("safetensors header is not a JSON object");
  }
  const std::span<const std::byte> data = file.subspan(kPrefixBytes + text.size());
  TensorIndex tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    SF_ASSIGN_OR_RETURN(HostTensor tensor, ParseEntry(name, entry, data));
    tensors.emplace(name, std::move(tensor));
  }
  SF_RETURN_IF_ERROR(CheckDisjoint(tensors));
  return tensors;
}

SafetensorsFile::SafetensorsFile(std::unique_ptr<MappedFile> file, TensorIndex tensors,
                                 std::span<const std::byte> header)
    : file_(std::move(file)), tensors_(std::move(tensors)), header_(header) {}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  SF_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  absl::StatusOr<TensorIndex> tensors = ParseSafetensors(file->bytes());
  if (!tensors.ok()) {
    return absl::Status(tensors.status().code(),
                        absl::StrCat(tensors.status().message(), " (in ", path, ")"));
  }
  SF_ASSIGN_OR_RETURN(const absl::string_view text, HeaderText(file->bytes()));
  const auto header = file->bytes().first(kPrefixBytes + text.size());
  return std::unique_ptr<SafetensorsFile>(
      new SafetensorsFile(std::move(file), *std::move(tensors), header));
}

}  // namespace spearfish
