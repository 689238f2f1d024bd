#include "server/cli/chat.h"

#include <grpcpp/client_context.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/cli/client.h"
#include "spearfish/v1/inference.grpc.pb.h"

namespace spearfish::server::cli {
namespace {

struct ChatFlags {
  ConnectionFlags connection;
  std::string model;
  std::string system;
  uint32_t max_tokens = 1024;
  std::optional<float> temperature;
  std::optional<uint64_t> seed;
  bool no_think = false;
};

// The history and the way to the server. One thread; lives as long as the command.
class Conversation {
 public:
  Conversation(ChatFlags flags, const std::shared_ptr<grpc::Channel>& channel)
      : flags_(std::move(flags)), client_(v1::InferenceService::NewStub(channel)) {
    Reset();
  }

  // Back to the system message.
  void Reset() {
    chat_.Clear();
    if (!flags_.system.empty()) Add("system", flags_.system);
    if (flags_.no_think) chat_.set_variables_json(R"({"enable_thinking": false})");
  }

  // Streams the answer to stdout. A question without an answer is not kept.
  grpc::Status Ask(const std::string& question) {
    Add("user", question);
    std::string answer;
    const grpc::Status status = Stream(answer);
    std::cout << std::endl;
    if (status.ok()) {
      Add("assistant", answer);
    } else {
      chat_.mutable_messages()->RemoveLast();
    }
    return status;
  }

  const std::string& endpoint() const { return flags_.connection.endpoint; }

 private:
  void Add(const std::string& role, const std::string& content) {
    v1::ChatMessage& message = *chat_.add_messages();
    message.set_role(role);
    message.set_content(content);
  }

  v1::GenerateStreamRequest MakeRequest() const {
    v1::GenerateStreamRequest request;
    request.set_model(flags_.model);
    *request.mutable_chat() = chat_;
    v1::Sampling& sampling = *request.mutable_sampling();
    if (flags_.temperature.has_value()) sampling.set_temperature(*flags_.temperature);
    if (flags_.seed.has_value()) sampling.set_seed(*flags_.seed);
    request.mutable_stopping()->set_max_tokens(flags_.max_tokens);
    return request;
  }

  grpc::Status Stream(std::string& answer) {
    grpc::ClientContext context;
    const auto reader = client_->GenerateStream(&context, MakeRequest());
    v1::GenerateStreamResponse response;
    while (reader->Read(&response)) {
      if (!response.has_delta()) continue;
      answer += response.delta().text();
      std::cout << response.delta().text() << std::flush;
    }
    return reader->Finish();
  }

  const ChatFlags flags_;
  const std::unique_ptr<v1::InferenceService::Stub> client_;
  v1::Chat chat_;
};

// A question a line, until /exit or the end of the input. On a terminal a failed question is
// reported and the next one asked; from a pipe, where nobody reads along, it ends the command.
int Chat(const ChatFlags& flags) {
  const auto channel = Connect(flags.connection);
  if (!channel.ok()) return ReportFailure(channel.status());
  Conversation conversation(flags, *channel);
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) std::cerr << "/reset forgets the conversation, /exit ends it\n";
  std::string line;
  while (true) {
    if (terminal) std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line) || line == "/exit") return kGood;
    if (line.empty()) continue;
    if (line == "/reset") {
      conversation.Reset();
      continue;
    }
    const grpc::Status status = conversation.Ask(line);
    if (status.ok()) continue;
    const int exit_status = ReportFailure(conversation.endpoint(), status);
    if (!terminal) return exit_status;
  }
}

}  // namespace

void AddChat(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand("chat", "Talk with the model, a question a line");
  auto flags = std::make_shared<ChatFlags>();  // shared: std::function must be copyable
  AddConnectionFlags(*command, flags->connection);
  command->add_option("--model", flags->model, "Refuse to run unless this model is served");
  command->add_option("--system", flags->system, "System message");
  command->add_option("--max-tokens", flags->max_tokens, "Tokens of an answer at most")
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0 = greedy");
  command->add_option("--seed", flags->seed, "Same seed, same answers");
  command->add_flag("--no-think", flags->no_think, "Ask the template to leave thinking out");
  command->callback([flags, &run] { run = [flags] { return Chat(*flags); }; });
}

}  // namespace spearfish::server::cli
