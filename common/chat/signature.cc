#include "common/chat/signature.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace spearfish::chat {

absl::Status CheckCall(const Signature& signature, size_t num_positional,
                       const std::vector<std::string>& keywords) {
  const auto& parameters = signature.parameters;
  if (num_positional > parameters.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("too many arguments: ", num_positional, ", at most ", parameters.size()));
  }
  std::vector<bool> given(parameters.size());
  std::fill_n(given.begin(), num_positional, true);
  for (const std::string& keyword : keywords) {
    const auto found = std::find(parameters.begin(), parameters.end(), keyword);
    if (found == parameters.end()) {
      return absl::UnimplementedError(absl::StrCat("the argument ", keyword, " is not supported"));
    }
    const auto index = static_cast<size_t>(found - parameters.begin());
    if (given[index]) {
      return absl::InvalidArgumentError(absl::StrCat("the argument ", keyword, " is given twice"));
    }
    given[index] = true;
  }
  for (size_t i = 0; i < signature.num_required; ++i) {
    if (!given[i]) {
      return absl::InvalidArgumentError(
          absl::StrCat("the argument ", parameters[i], " is missing"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<BoundArguments> Bind(const Signature& signature, const Arguments& arguments) {
  std::vector<std::string> keywords;
  keywords.reserve(arguments.keyword.size());
  for (const auto& [name, value] : arguments.keyword) keywords.push_back(name);
  SF_RETURN_IF_ERROR(CheckCall(signature, arguments.positional.size(), keywords));
  std::vector<const Value*> values(signature.parameters.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) values[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keyword) {
    const auto found = std::find(signature.parameters.begin(), signature.parameters.end(), name);
    values[static_cast<size_t>(found - signature.parameters.begin())] = &value;
  }
  return BoundArguments(std::move(values));
}

}  // namespace spearfish::chat
