// spearfish-pack: turns a checkpoint into an expert-cache file or segment; lists, verifies, dumps
// and removes them; records heatmaps.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "worker/pack/heatmap_command.h"
#include "worker/pack/pack_commands.h"

namespace {

using spearfish::QuantOptions;
using spearfish::ScaleMode;
using spearfish::worker::HeatmapOptions;
using spearfish::worker::PackOptions;

constexpr int kGood = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

void AddShmDir(CLI::App& command, std::string& shm_dir) {
  command.add_option("--shm-dir", shm_dir, "folder of the segments")->capture_default_str();
}

void AddName(CLI::App& command, PackOptions& options) {
  command.add_option("NAME", options.name, "a segment's name or a file's path")->required();
  AddShmDir(command, options.shm_dir);
}

void AddThreads(CLI::App& command, uint32_t& num_threads) {
  command.add_option("--threads", num_threads, "0 = all cores")->capture_default_str();
}

void AddQuant(CLI::App& command, QuantOptions& quant) {
  command.add_option("--bits", quant.bits, "bits of a weight")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  command.add_option("--scale", quant.scale, "how scales are chosen (default mse)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ScaleMode>{
          {"absmax", ScaleMode::kAbsmax}, {"mse", ScaleMode::kMse}}))
      ->default_str("mse");
}

void AddBuild(CLI::App& app, PackOptions& options) {
  CLI::App* command = app.add_subcommand("build", "pack a checkpoint into a file or a segment");
  command->add_option("CHECKPOINT", options.checkpoint, "folder of a Hugging Face checkpoint")
      ->required();
  AddQuant(*command, options.quant);
  AddThreads(*command, options.num_threads);
  AddShmDir(*command, options.shm_dir);
  CLI::Option_group* target = command->add_option_group("target", "where to; exactly one");
  target->add_option("--out", options.out, "cache file to write");
  CLI::Option* segment = target->add_flag("--segment", options.segment, "segment in --shm-dir");
  target->require_option(1);
  command->add_option("--from", options.from, "cache file to fill the segment from, not quantising")
      ->needs(segment);
  command
      ->add_option_function<std::string>(
          "--segment-timeout",
          [&options](const std::string& text) {
            if (!absl::ParseDuration(text, &options.segment_timeout)) {
              throw CLI::ValidationError("--segment-timeout", "not a time: " + text);
            }
          },
          "how long to wait for another process that populates: 90s, 10m; default inf")
      ->needs(segment);
}

void AddDump(CLI::App& app, PackOptions& options) {
  CLI::App* command = app.add_subcommand("dump", "write one expert dequantised as safetensors");
  AddName(*command, options);
  command->add_option("--layer", options.layer, "layer of the model")->required();
  command->add_option("--expert", options.expert, "expert of the layer")->required();
  command->add_option("--out", options.out, "safetensors file to write (F32)")->required();
}

void AddHeatmap(CLI::App& app, HeatmapOptions& options) {
  CLI::App* command = app.add_subcommand("heatmap", "record which experts a text is routed to");
  command->add_option("CHECKPOINT", options.checkpoint, "folder of a Hugging Face checkpoint")
      ->required();
  command->add_option("--text", options.texts, "UTF-8 text to run; may be given again")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--out", options.out, "heatmap to write (JSON)")->required();
  command->add_option("--max-tokens", options.max_tokens, "of all texts together; 0 = all")
      ->capture_default_str();
  command->add_option("--chunk-tokens", options.chunk_tokens, "tokens of one step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  AddQuant(*command, options.quant);
  AddThreads(*command, options.num_threads);
  AddShmDir(*command, options.shm_dir);
}

absl::Status Run(const CLI::App& app, const PackOptions& options, const HeatmapOptions& heatmap) {
  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "build") {
    return options.segment ? BuildSegment(options) : BuildFile(options);
  }
  if (command == "heatmap") return RecordHeatmap(heatmap);
  if (command == "list") return List(options);
  if (command == "verify") return Verify(options);
  if (command == "remove") return Remove(options);
  return Dump(options);
}

}  // namespace

int main(int argc, char** argv) {
  spearfish::InitLog("pack");
  PackOptions options;
  HeatmapOptions heatmap;
  CLI::App app("Expert caches: pack a checkpoint, list, verify, dump and remove; heatmaps.",
               "spearfish-pack");
  app.require_subcommand(1);
  AddBuild(app, options);
  AddShmDir(*app.add_subcommand("list", "list the segments of this host"), options.shm_dir);
  CLI::App* verify = app.add_subcommand("verify", "recompute every checksum");
  AddName(*verify, options);
  AddThreads(*verify, options.num_threads);
  AddName(*app.add_subcommand("remove", "delete a segment or a cache file"), options);
  AddDump(app, options);
  AddHeatmap(app, heatmap);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGood : kUsage;
  }
  const absl::Status status = Run(app, options, heatmap);
  if (status.ok()) return kGood;
  std::fprintf(stderr, "spearfish-pack: %s\n", std::string(status.message()).c_str());
  return kFailed;
}
