// spearfish-pack: turns a checkpoint into an expert-cache file or segment; lists, verifies, dumps
// and removes them.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "common/base/log.h"
#include "worker/pack/pack_commands.h"

namespace {

using spearfish::ScaleMode;
using spearfish::worker::PackOptions;

constexpr int kGood = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

void AddShmDir(CLI::App& command, PackOptions& options) {
  command.add_option("--shm-dir", options.shm_dir, "folder of the segments")->capture_default_str();
}

void AddName(CLI::App& command, PackOptions& options) {
  command.add_option("NAME", options.name, "a segment's name or a file's path")->required();
  AddShmDir(command, options);
}

void AddBuild(CLI::App& app, PackOptions& options) {
  CLI::App* command = app.add_subcommand("build", "pack a checkpoint into a file or a segment");
  command->add_option("CHECKPOINT", options.checkpoint, "folder of a Hugging Face checkpoint")
      ->required();
  command->add_option("--bits", options.quant.bits, "bits of a weight")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  command->add_option("--scale", options.quant.scale, "how scales are chosen (default mse)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ScaleMode>{
          {"absmax", ScaleMode::kAbsmax}, {"mse", ScaleMode::kMse}}))
      ->default_str("mse");
  command->add_option("--threads", options.num_threads, "0 = all cores")->capture_default_str();
  AddShmDir(*command, options);
  CLI::Option_group* target = command->add_option_group("target", "where to; exactly one");
  target->add_option("--out", options.out, "cache file to write");
  target->add_flag("--segment", options.segment, "segment in --shm-dir");
  target->require_option(1);
}

void AddDump(CLI::App& app, PackOptions& options) {
  CLI::App* command = app.add_subcommand("dump", "write one expert dequantised as safetensors");
  AddName(*command, options);
  command->add_option("--layer", options.layer, "layer of the model")->required();
  command->add_option("--expert", options.expert, "expert of the layer")->required();
  command->add_option("--out", options.out, "safetensors file to write (F32)")->required();
}

absl::Status Run(const CLI::App& app, const PackOptions& options) {
  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "build") {
    return options.segment ? BuildSegment(options) : BuildFile(options);
  }
  if (command == "list") return List(options);
  if (command == "verify") return Verify(options);
  if (command == "remove") return Remove(options);
  return Dump(options);
}

}  // namespace

int main(int argc, char** argv) {
  spearfish::InitLog("pack");
  PackOptions options;
  CLI::App app("Expert caches: pack a checkpoint, list, verify, dump and remove.",
               "spearfish-pack");
  app.require_subcommand(1);
  AddBuild(app, options);
  AddShmDir(*app.add_subcommand("list", "list the segments of this host"), options);
  AddName(*app.add_subcommand("verify", "recompute every checksum"), options);
  AddName(*app.add_subcommand("remove", "delete a segment or a cache file"), options);
  AddDump(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGood : kUsage;
  }
  const absl::Status status = Run(app, options);
  if (status.ok()) return kGood;
  std::fprintf(stderr, "spearfish-pack: %s\n", std::string(status.message()).c_str());
  return kFailed;
}
