// Runs residency policies over synthetic routing, or a checkpoint's own over a text, and prints
// their hit rates as markdown tables.
// `--check` only compares the generator with the published curves: exit status 1 when it is off.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/bench/policy_study.h"
#include "tests/bench/routing_file.h"
#include "tests/bench/routing_of_text.h"

namespace spearfish::bench {
namespace {

constexpr double kTolerance = 0.015;

bool CheckGenerator(const RoutingFile& file, const std::vector<PolicyStudy>& studies) {
  absl::PrintF("| model | policy |");
  for (const double fraction : file.resident_fractions) absl::PrintF(" %g %% |", 100 * fraction);
  absl::PrintF("\n|---|---|");
  for (size_t i = 0; i < file.resident_fractions.size(); ++i) absl::PrintF("---|");
  absl::PrintF("\n");
  double largest = 0;
  for (const PolicyStudy& study : studies) largest = std::max(largest, study.PrintGeneratorCheck());
  absl::PrintF("\nLargest deviation from the file: %.2f points (allowed: %.1f)\n\n", 100 * largest,
               100 * kTolerance);
  std::fflush(stdout);
  return largest <= kTolerance;
}

void PrintTables(const std::vector<PolicyStudy>& studies) {
  PrintPolicyTableHead();
  for (const PolicyStudy& study : studies) {
    for (const double fraction : {0.15, 0.308, 0.402, 0.6}) study.PrintPolicies(fraction);
  }
  absl::PrintF(
      "\n| model | resident %% | policy | hit %% | promotions | transfers |\n"
      "|---|---|---|---|---|---|\n");
  for (const PolicyStudy& study : studies) {
    for (const double fraction : {0.15, 0.402}) study.PrintCaps(fraction);
  }
  absl::PrintF("\n");
  PrintPromptTableHead();
  for (const PolicyStudy& study : studies) {
    for (const double fraction : {0.15, 0.402}) study.PrintPrompts(fraction);
  }
}

int RunOnText(const std::vector<std::string>& checkpoints, const std::string& text) {
  PrintTextTableHead();
  for (const std::string& checkpoint : checkpoints) {
    const auto trace = TraceText(checkpoint, text, 8192);
    if (!trace.ok()) {
      absl::FPrintF(stderr, "%s\n", trace.status().ToString());
      return 2;
    }
    const std::string name = std::filesystem::path(checkpoint).filename();
    for (const double fraction : {0.15, 0.308, 0.402, 0.6}) {
      PrintTextPolicies(name, *trace, fraction);
    }
  }
  return 0;
}

int Run(const std::string& path, const StudyOptions& options, bool check_only) {
  const auto file = ReadRoutingFile(path);
  if (!file.ok()) {
    absl::FPrintF(stderr, "%s\n", file.status().ToString());
    return 2;
  }
  std::vector<PolicyStudy> studies;
  studies.reserve(file->models.size());
  for (const auto& [name, model] : file->models) studies.emplace_back(name, *file, options);
  const bool is_sound = CheckGenerator(*file, studies);
  if (is_sound && !check_only) PrintTables(studies);
  return is_sound ? 0 : 1;
}

}  // namespace
}  // namespace spearfish::bench

int main(int argc, char** argv) {
  CLI::App app("Hit rates of residency policies over synthetic routing");
  std::string path = "tests/data/routing.json";
  bool check_only = false;
  spearfish::bench::StudyOptions options;
  app.add_option("--routing", path, "Parameters and published curves")->capture_default_str();
  app.add_option("--layers", options.num_layers, "MoE layers")->capture_default_str();
  app.add_option("--seed", options.seed, "Of the routing")->capture_default_str();
  app.add_option("--prompts", options.counted_prompts, "Counted")->capture_default_str();
  app.add_option("--arrival-steps", options.arrival_steps, "From a promotion's choice to its use")
      ->capture_default_str();
  app.add_flag("--check", check_only, "Only compare the generator with the file's curves");
  std::string text;
  std::vector<std::string> checkpoints;
  CLI::Option* has_text =
      app.add_option("--text", text, "Route this text instead, by --checkpoint");
  app.add_option("--checkpoint", checkpoints, "May be given again")->needs(has_text);
  CLI11_PARSE(app, argc, argv);
  if (!checkpoints.empty()) return spearfish::bench::RunOnText(checkpoints, text);
  return spearfish::bench::Run(path, options, check_only);
}
