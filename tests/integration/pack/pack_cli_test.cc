// The spearfish-pack binary, run as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "common/expert_cache/cache_file.h"
#include "common/expert_cache/expert_record.h"
#include "common/safetensors/safetensors_file.h"
#include "common/segment/expert_cache_segment.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_data.h"

namespace spearfish {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int exit_status = -1;
  std::string output;  // stdout and stderr together
};

class PackCliTest : public testing::Test {
 protected:
  Outcome Run(const std::string& arguments) const {
    const std::string command = SPEARFISH_BINARY_DIR "/spearfish-pack " + arguments + " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    Outcome outcome;
    std::array<char, 4096> buffer;
    while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
      outcome.output.append(buffer.data(), count);
    }
    const int status = pclose(pipe);
    outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }
  std::string ShmDir() const { return " --shm-dir=" + shm_.path(); }

  const std::string model_ = tests::BundledCheckpoint();
  const tests::TempDir shm_;
  const tests::TempDir out_;
  const std::string file_ = out_.File("experts.sfc");
};

TEST_F(PackCliTest, BuildsVerifiesAndRemovesAFile) {
  const Outcome build = Run("build " + model_ + " --bits 8 --scale=absmax --out=" + file_);
  ASSERT_EQ(build.exit_status, 0) << build.output;
  EXPECT_THAT(build.output, HasSubstr("4 layers of 16 experts, 8 bits, absmax"));
  EXPECT_THAT(build.output, HasSubstr("GB/s"));
  EXPECT_THAT(build.output, Not(HasSubstr("\r")));  // no progress bar in a pipe
  {
    const auto file = CacheFile::Open(file_);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->cache().quant().bits, 8u);
    EXPECT_EQ((*file)->cache().quant().scale, ScaleMode::kAbsmax);
  }
  EXPECT_EQ(Run("verify " + file_).exit_status, 0);
  EXPECT_EQ(Run("remove " + file_).exit_status, 0);
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_EQ(Run("verify " + file_).exit_status, 1);
}

TEST_F(PackCliTest, BuildsListsVerifiesAndRemovesASegment) {
  const Outcome build = Run("build " + model_ + " --segment --threads=1" + ShmDir());
  ASSERT_EQ(build.exit_status, 0) << build.output;
  EXPECT_THAT(build.output, HasSubstr("4 bits, mse"));
  const std::string name = ListSegments(shm_.path()).value().at(0).name;
  EXPECT_THAT(build.output, HasSubstr(name));
  const Outcome again = Run("build " + model_ + " --segment" + ShmDir());
  EXPECT_EQ(again.exit_status, 0);
  EXPECT_THAT(again.output, HasSubstr("ready already"));
  const Outcome list = Run("list" + ShmDir());
  EXPECT_EQ(list.exit_status, 0);
  EXPECT_THAT(list.output, HasSubstr(name));
  EXPECT_THAT(list.output, HasSubstr("qwen3-moe-3m"));
  EXPECT_EQ(Run("verify " + name + ShmDir()).exit_status, 0);
  EXPECT_EQ(Run("remove " + name + ShmDir()).exit_status, 0);
  EXPECT_TRUE(std::filesystem::is_empty(shm_.path()));
  const Outcome gone = Run("remove " + name + ShmDir());
  EXPECT_EQ(gone.exit_status, 1);
  EXPECT_THAT(gone.output, HasSubstr("no such segment"));
}

TEST_F(PackCliTest, FillsASegmentFromAFile) {
  ASSERT_EQ(Run("build " + model_ + " --out=" + file_).exit_status, 0);
  const Outcome build = Run("build " + model_ + " --segment --from=" + file_ + ShmDir());
  ASSERT_EQ(build.exit_status, 0) << build.output;
  EXPECT_THAT(build.output, HasSubstr("GB/s of " + file_));
  const std::string name = ListSegments(shm_.path()).value().at(0).name;
  EXPECT_TRUE(tests::ReadFile(shm_.File(name)) == tests::ReadFile(file_));
  EXPECT_EQ(Run("verify --threads=2 " + name + ShmDir()).exit_status, 0);
}

TEST_F(PackCliTest, AForeignFileFillsNoSegmentAndLeavesNothing) {
  ASSERT_EQ(Run("build " + model_ + " --bits=8 --out=" + file_).exit_status, 0);
  const Outcome build = Run("build " + model_ + " --segment --from=" + file_ + ShmDir());
  EXPECT_EQ(build.exit_status, 1);
  EXPECT_THAT(build.output, HasSubstr("cache file is not this checkpoint's"));
  EXPECT_TRUE(std::filesystem::is_empty(shm_.path()));
}

TEST_F(PackCliTest, ABuildRemovesWhatAKilledOneLeft) {
  const std::string leftover = file_ + ".tmp-2147483646";  // beyond any process number
  tests::WriteFile(leftover, "half");
  ASSERT_EQ(Run("build " + model_ + " --out=" + file_).exit_status, 0);
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

TEST_F(PackCliTest, VerifyFindsAFlippedBit) {
  ASSERT_EQ(Run("build " + model_ + " --out " + file_).exit_status, 0);
  std::string image = tests::ReadFile(file_);
  image[image.size() - 10000] = static_cast<char>(image[image.size() - 10000] ^ 1);
  tests::WriteFile(file_, image);
  const Outcome verify = Run("verify " + file_);
  EXPECT_EQ(verify.exit_status, 1);
  EXPECT_THAT(verify.output, HasSubstr("expert cache checksum mismatch: layer 3"));
  EXPECT_EQ(Run("remove " + file_).exit_status, 0);  // a damaged cache may go
}

TEST_F(PackCliTest, DumpsOneExpertAsSafetensors) {
  ASSERT_EQ(Run("build " + model_ + " --out " + file_).exit_status, 0);
  const std::string dump = out_.File("expert.safetensors");
  const Outcome outcome = Run("dump " + file_ + " --layer=2 --expert 15 --out=" + dump);
  ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
  const auto tensors = SafetensorsFile::Open(dump);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  const auto cache = CacheFile::Open(file_).value();
  const DequantizedExpert expected =
      UnpackExpert(cache->cache().Record(LayerId{2}, ExpertId{15}), cache->cache().layout());
  const std::string prefix = "model.layers.2.mlp.experts.15.";
  ASSERT_EQ((*tensors)->tensors().size(), 3u);
  for (const auto& [name, values] :
       {std::pair("gate_proj.weight", &expected.gate), std::pair("up_proj.weight", &expected.up),
        std::pair("down_proj.weight", &expected.down)}) {
    const HostTensor& tensor = (*tensors)->tensors().at(prefix + name);
    EXPECT_EQ(tensor.dtype, DType::kF32);
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{128, 128}));
    std::vector<float> dumped(values->size());
    ASSERT_TRUE(WidenToFloat(tensor, dumped).ok());
    EXPECT_TRUE(dumped == *values) << name;
  }
  EXPECT_EQ(Run("dump " + file_ + " --layer=4 --expert=0 --out=" + dump).exit_status, 1);
  EXPECT_EQ(Run("dump " + file_ + " --layer=0 --expert=16 --out=" + dump).exit_status, 1);
}

TEST_F(PackCliTest, RemoveLeavesForeignFilesAlone) {
  tests::WriteFile(file_, "somebody's thesis");
  const Outcome outcome = Run("remove " + file_);
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.output, HasSubstr("will not remove"));
  EXPECT_TRUE(std::filesystem::exists(file_));
}

TEST_F(PackCliTest, FailuresExitWith1AndAReason) {
  const Outcome missing = Run("build " + out_.File("no-model") + " --out=" + file_);
  EXPECT_EQ(missing.exit_status, 1);
  EXPECT_THAT(missing.output, HasSubstr("spearfish-pack: "));
  EXPECT_THAT(missing.output, HasSubstr("no-model"));
  EXPECT_EQ(Run("build " + model_ + " --out=" + out_.File("no/folder")).exit_status, 1);
  EXPECT_EQ(Run("verify spearfish-0123456789abcdef" + ShmDir()).exit_status, 1);
  EXPECT_EQ(Run("list --shm-dir=" + out_.File("none")).exit_status, 1);
}

TEST_F(PackCliTest, UsageErrorsExitWith2) {
  for (const std::string& arguments :
       std::vector<std::string>{"", "unpack", "build", "build " + model_,
                                "build " + model_ + " --segment --out=" + file_,
                                "build " + model_ + " --out=" + file_ + " --bits=5",
                                "build " + model_ + " --out=" + file_ + " --scale=best",
                                "build " + model_ + " --out=" + file_ + " --from=" + file_,
                                "build " + model_ + " --segment --segment-timeout=soon", "verify",
                                "remove", "dump " + file_, "list --what"}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_status, 2) << arguments << "\n" << outcome.output;
    EXPECT_FALSE(outcome.output.empty());
  }
}

TEST_F(PackCliTest, HelpNamesEveryFlag) {
  const Outcome help = Run("build --help");
  EXPECT_EQ(help.exit_status, 0);
  for (const char* flag : {"--bits", "--scale", "--out", "--segment", "--threads", "--shm-dir",
                           "--from", "--segment-timeout"}) {
    EXPECT_THAT(help.output, HasSubstr(flag));
  }
  EXPECT_EQ(Run("--help").exit_status, 0);
}

}  // namespace
}  // namespace spearfish
