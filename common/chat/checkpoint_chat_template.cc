#include "common/chat/checkpoint_chat_template.h"

#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/chat/ordered_json.h"

namespace spearfish {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kTemplateFile[] = "/chat_template.jinja";
constexpr char kToolTemplateFile[] = "/additional_chat_templates/tool_use.jinja";
constexpr char kConfigFile[] = "/tokenizer_config.json";

std::optional<std::string> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Transformers writes a model_max_length of 30 digits for "none".
constexpr auto kRounded = OrderedJsonParser::LargeIntegers::kRounded;

// An empty object without a file.
absl::StatusOr<Json> ReadConfig(const std::string& folder) {
  const std::string path = folder + kConfigFile;
  const std::optional<std::string> text = ReadWhole(path);
  if (!text.has_value()) return Json::object();
  absl::StatusOr<Json> config = OrderedJsonParser(kRounded).Parse(*text);
  if (!config.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " ", config.status().message()));
  }
  if (!config->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a JSON object"));
  }
  return config;
}

// "<|im_end|>" or {"content": "<|im_end|>", ...}.
Json SpecialTokens(const Json& config) {
  constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
  Json tokens = Json::object();
  for (const char* const name : kNames) {
    const auto found = config.find(name);
    if (found == config.end()) continue;
    if (found->is_string()) {
      tokens[name] = *found;
    } else if (found->is_object() && found->contains("content") &&
               found->at("content").is_string()) {
      tokens[name] = found->at("content");
    }
  }
  return tokens;
}

// The one called "default". One for tools besides it would be chosen by rules of its own.
absl::StatusOr<std::string> DefaultOf(const Json& list, const std::string& path) {
  std::optional<std::string> found;
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") ||
        !entry["template"].is_string()) {
      return absl::InvalidArgumentError(absl::StrCat("malformed chat_template in ", path));
    }
    if (entry["name"] == "tool_use") {
      return absl::UnimplementedError(
          absl::StrCat("a chat template of its own for tools is not supported: ", path));
    }
    if (entry["name"] == "default") found = entry["template"].get<std::string>();
  }
  if (found.has_value()) return *found;
  return absl::NotFoundError(absl::StrCat("no chat template is called default: ", path));
}

absl::StatusOr<std::string> TemplateSource(const std::string& folder, const Json& config) {
  if (ReadWhole(folder + kToolTemplateFile).has_value()) {
    return absl::UnimplementedError(absl::StrCat(
        "a chat template of its own for tools is not supported: ", folder, kToolTemplateFile));
  }
  if (std::optional<std::string> text = ReadWhole(folder + kTemplateFile)) return *std::move(text);
  const auto found = config.find("chat_template");
  if (found != config.end() && found->is_string()) return found->get<std::string>();
  if (found != config.end() && found->is_array()) return DefaultOf(*found, folder + kConfigFile);
  return absl::NotFoundError(absl::StrCat("the checkpoint has no chat template: neither ", folder,
                                          kTemplateFile, " nor chat_template in ", folder,
                                          kConfigFile));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChatTemplate>> ReadChatTemplate(const std::string& folder) {
  SF_ASSIGN_OR_RETURN(Json config, ReadConfig(folder));
  SF_ASSIGN_OR_RETURN(const std::string source, TemplateSource(folder, config));
  ChatTemplateOptions options;
  options.variables = SpecialTokens(config);
  return ChatTemplate::Create(source, std::move(options));
}

}  // namespace spearfish
