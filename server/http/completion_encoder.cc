#include "server/http/completion_encoder.h"

#include <utility>

namespace spearfish::server {
namespace {

constexpr char kObject[] = "text_completion";

}  // namespace

CompletionEncoder::CompletionEncoder(CompletionEncoderOptions options, Form form)
    : options_(std::move(options)), form_(form) {
  for (const std::string& echo : options_.echoes) {
    for (uint32_t i = 0; i < options_.choices_per_prompt; ++i) choices_.emplace_back().text = echo;
  }
}

std::string CompletionEncoder::Add(size_t call, const v1::GenerateStreamResponse& message) {
  usage_.Add(message);
  const uint32_t index = message.has_delta() ? message.delta().index() : message.finish().index();
  if (message.has_prompt_info() || index >= options_.choices_per_prompt) return "";
  const size_t number = call * options_.choices_per_prompt + index;
  Choice& choice = choices_.at(number);
  if (message.has_delta()) {
    choice.text += message.delta().text();
    choice.logprobs.Append(message.delta().logprobs());
    if (message.delta().text().empty() && message.delta().logprobs().empty()) return "";
  } else {
    choice.finish = message.finish();
    choice.finished = true;
  }
  return Changed(number);
}

std::string CompletionEncoder::Changed(size_t number) {
  if (form_ == Form::kWhole) return "";
  Json chunk = HeadJson(options_.head, kObject);
  chunk["choices"] = Json::array({ChoiceJson(number)});
  if (options_.include_usage) chunk["usage"] = nullptr;
  return EventText(chunk);
}

Json CompletionEncoder::ChoiceJson(size_t number) {
  Choice& choice = choices_[number];
  Json out = {{"index", number}, {"text", std::exchange(choice.text, {})}, {"logprobs", nullptr}};
  if (options_.logprobs) out["logprobs"] = choice.logprobs.Take();
  out["finish_reason"] = nullptr;
  if (choice.finished) {
    out["finish_reason"] = FinishName(choice.finish.finish_reason());
    out["stop_reason"] = StopReason(choice.finish);
  }
  return out;
}

std::string CompletionEncoder::End() {
  Json body = HeadJson(options_.head, kObject);
  body["choices"] = Json::array();
  if (form_ == Form::kWhole) {
    for (size_t i = 0; i < choices_.size(); ++i) body["choices"].push_back(ChoiceJson(i));
  } else if (!options_.include_usage) {
    return "";
  }
  body["usage"] = usage_.ToJson();
  return form_ == Form::kWhole ? JsonText(body) : EventText(body);
}

}  // namespace spearfish::server
