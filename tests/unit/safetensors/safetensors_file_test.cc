#include "common/safetensors/safetensors_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tests::SerializeRawSafetensors;

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span<const char>(text));
}

std::string ErrorOf(const std::string& file) {
  const auto tensors = ParseSafetensors(Bytes(file));
  EXPECT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument) << tensors.status();
  return std::string(tensors.status().message());
}

// One tensor "t" with this entry, over `data_bytes` bytes of data.
std::string ErrorOfEntry(const std::string& entry, size_t data_bytes = 16) {
  return ErrorOf(
      SerializeRawSafetensors(absl::StrCat("{\"t\":", entry, "}"), std::string(data_bytes, 'x')));
}

std::string GoodFile() {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  return tests::SerializeSafetensors(
      {tests::MakeTensor("b", DType::kF32, {2, 3}, values),
       tests::MakeTensor("a", DType::kBF16, {6}, values),
       tests::MakeTensor("empty", DType::kF16, {0, 4}, {}),
       tests::MakeTensor("scalar", DType::kF16, {}, std::vector<float>{7})});
}

TEST(ParseSafetensors, FindsEveryTensor) {
  const std::string file = GoodFile();
  const auto tensors = ParseSafetensors(Bytes(file));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 4u);
  const HostTensor& b = tensors->at("b");
  EXPECT_EQ(b.dtype, DType::kF32);
  EXPECT_THAT(b.shape, ElementsAre(2, 3));
  std::vector<float> values(6);
  ASSERT_TRUE(WidenToFloat(b, values).ok());
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4, 5, 6));
  ASSERT_TRUE(WidenToFloat(tensors->at("a"), values).ok());
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(tensors->at("empty").shape, ElementsAre(0, 4));
  EXPECT_THAT(tensors->at("scalar").shape, IsEmpty());
}

TEST(ParseSafetensors, ReadsDataAtAnyAlignment) {
  const std::string entries = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                              R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const std::string file = SerializeRawSafetensors(
      entries, absl::StrCat("x", tests::EncodeFloats(DType::kF32, std::vector{2.5f})));
  const auto tensors = ParseSafetensors(Bytes(file));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  std::vector<float> value(1);
  ASSERT_TRUE(WidenToFloat(tensors->at("b"), value).ok());
  EXPECT_EQ(value[0], 2.5f);
}

TEST(ParseSafetensors, UnservedDtypesParseAsOther) {
  for (const char* entry : {R"({"dtype":"F64","shape":[2],"data_offsets":[0,16]})",
                            R"({"dtype":"F8_E4M3","shape":[16],"data_offsets":[0,16]})",
                            R"({"dtype":"FROM_THE_FUTURE","shape":[3],"data_offsets":[0,16]})"}) {
    const std::string file =
        SerializeRawSafetensors(absl::StrCat("{\"t\":", entry, "}"), std::string(16, 'x'));
    const auto tensors = ParseSafetensors(Bytes(file));
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    EXPECT_EQ(tensors->at("t").dtype, DType::kOther);
  }
}

TEST(ParseSafetensors, EveryTruncationIsAnError) {
  const std::string file = GoodFile();
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(ParseSafetensors(Bytes(file).first(size)).ok()) << size;
  }
  EXPECT_THAT(ErrorOf(""), HasSubstr("truncated"));
  EXPECT_THAT(ErrorOf(file.substr(0, 7)), HasSubstr("truncated"));
  EXPECT_THAT(ErrorOf(file.substr(0, 20)), HasSubstr("truncated"));
  EXPECT_THAT(ErrorOf(file.substr(0, file.size() - 1)), HasSubstr("truncated"));
}

TEST(ParseSafetensors, ALyingHeaderLengthIsAnError) {
  const std::string good = GoodFile();
  uint64_t honest = 0;
  std::memcpy(&honest, good.data(), sizeof(honest));
  for (const uint64_t lie :
       {uint64_t{0}, uint64_t{1}, honest / 2, honest + 8, uint64_t{good.size()}, uint64_t{1} << 40,
        uint64_t{100'000'001}, UINT64_MAX, UINT64_MAX - 7}) {
    std::string file = good;
    std::memcpy(file.data(), &lie, sizeof(lie));
    ErrorOf(file);
  }
  std::string huge = good;
  const uint64_t lie = uint64_t{1} << 60;
  std::memcpy(huge.data(), &lie, sizeof(lie));
  EXPECT_THAT(ErrorOf(huge), HasSubstr("1152921504606846976"));
}

TEST(ParseSafetensors, BrokenEntriesNameTheTensor) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(3)", "not a JSON object"},
      {R"({"shape":[4],"data_offsets":[0,16]})", "dtype"},
      {R"({"dtype":7,"shape":[4],"data_offsets":[0,16]})", "dtype"},
      {R"({"dtype":"F32","data_offsets":[0,16]})", "shape"},
      {R"({"dtype":"F32","shape":4,"data_offsets":[0,16]})", "shape"},
      {R"({"dtype":"F32","shape":[-4],"data_offsets":[0,16]})", "dimension 0"},
      {R"({"dtype":"F32","shape":[1,4.0],"data_offsets":[0,16]})", "dimension 1"},
      {R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,16]})", "dimension 0"},
      {R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]})", "overflows"},
      {R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})", "overflows"},
      {R"({"dtype":"F32","shape":[4]})", "data_offsets"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":[0]})", "data_offsets"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":[0,8,16]})", "data_offsets"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":[-16,0]})", "data_offsets"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":["0","16"]})", "data_offsets"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":[16,0]})", "before it begins"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":[4,20]})", "truncated"},
      {R"({"dtype":"F32","shape":[4],"data_offsets":[18446744073709551600,18446744073709551615]})",
       "truncated"},
      {R"({"dtype":"F32","shape":[3],"data_offsets":[0,16]})", "needs 12 bytes, its range has 16"},
      {R"({"dtype":"BF16","shape":[4],"data_offsets":[0,16]})", "needs 8 bytes"},
      {R"({"dtype":"F64","shape":[1],"data_offsets":[0,16]})", "needs 8 bytes"},
  };
  for (const auto& [entry, expected] : cases) {
    const std::string error = ErrorOfEntry(entry);
    EXPECT_THAT(error, HasSubstr("bad safetensors entry 't'")) << entry;
    EXPECT_THAT(error, HasSubstr(expected)) << entry;
  }
}

TEST(ParseSafetensors, OverlapsNameBothTensors) {
  const std::string file =
      SerializeRawSafetensors(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
                              R"("b":{"dtype":"U8","shape":[8],"data_offsets":[7,15]}})",
                              std::string(16, 'x'));
  EXPECT_THAT(ErrorOf(file), HasSubstr("'b': its bytes overlap those of 'a'"));
  const std::string inside =
      SerializeRawSafetensors(R"({"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},)"
                              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]},)"
                              R"("c":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})",
                              std::string(16, 'x'));
  EXPECT_THAT(ErrorOf(inside), HasSubstr("overlap"));
  const std::string same =
      SerializeRawSafetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                              std::string(16, 'x'));
  EXPECT_THAT(ErrorOf(same), HasSubstr("overlap"));
}

TEST(ParseSafetensors, DuplicateNamesAreRefused) {
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  const std::string file =
      SerializeRawSafetensors(absl::StrCat("{\"w\":", entry, ",\"w\":", entry, "}"), "x");
  EXPECT_THAT(ErrorOf(file), HasSubstr("key given twice in safetensors header: 'w'"));
}

TEST(ParseSafetensors, HeadersThatAreNoObject) {
  EXPECT_THAT(ErrorOf(SerializeRawSafetensors("[]", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(SerializeRawSafetensors("", "")), HasSubstr("malformed JSON"));
  EXPECT_THAT(ErrorOf(SerializeRawSafetensors(std::string(1'000'000, '['), "")),
              HasSubstr("nested too deeply"));
}

TEST(ParseSafetensors, AnEmptyFileOfNoTensorsIsFine) {
  const auto tensors = ParseSafetensors(Bytes(SerializeRawSafetensors("{}  ", "")));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_TRUE(tensors->empty());
}

TEST(SafetensorsFile, OpensTheBundledCheckpoint) {
  const std::string path = tests::BundledCheckpoint() + "/model.safetensors";
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string content = tests::ReadFile(path);
  EXPECT_EQ((*file)->file_bytes(), content.size());
  EXPECT_EQ((*file)->path(), path);
  // The header with its prefix, byte for byte; the data begins right after it.
  const auto header = (*file)->header();
  EXPECT_EQ(std::memcmp(header.data(), content.data(), header.size()), 0);
  const HostTensor& first = (*file)->tensors().at("model.embed_tokens.weight");
  EXPECT_EQ(first.bytes.data(), header.data() + header.size());
  EXPECT_THAT(first.shape, ElementsAre(2048, 128));
}

TEST(SafetensorsFile, ErrorsNameThePath) {
  const tests::TempDir dir;
  EXPECT_EQ(SafetensorsFile::Open(dir.File("none")).status().code(), absl::StatusCode::kNotFound);
  const std::string path = dir.File("short.safetensors");
  tests::WriteFile(path, GoodFile().substr(0, 30));
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(path));
}

}  // namespace
}  // namespace spearfish
