// Renders conversations for compare.mjs. usage: render_chat TEMPLATE < INPUTS > OUTPUTS
// A line of INPUTS is an object with messages, tools (or null), add_generation_prompt and
// variables; a line of OUTPUTS is {"text": ...} or {"error": ...}.
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/chat/chat_template.h"

namespace spearfish {
namespace {

using Json = nlohmann::ordered_json;

Json RenderLine(const ChatTemplate& chat_template, const std::string& line) {
  const Json json = Json::parse(line);
  ChatInput input;
  input.messages = json.at("messages");
  input.tools = json.at("tools");
  input.add_generation_prompt = json.at("add_generation_prompt").get<bool>();
  input.variables = json.at("variables");
  const absl::StatusOr<std::string> text = chat_template.Render(input);
  if (!text.ok()) return {{"error", std::string(text.status().message())}};
  return {{"text", *text}};
}

int Main(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string source(std::istreambuf_iterator<char>(file), {});
  auto created = ChatTemplate::Create(source);
  if (!created.ok()) {
    std::cerr << path << ": " << created.status() << "\n";
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) std::cout << RenderLine(**created, line).dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace spearfish

int main(int argc, char** argv) {
  if (argc == 2) return spearfish::Main(argv[1]);
  std::cerr << "usage: render_chat TEMPLATE < INPUTS\n";
  return 2;
}
