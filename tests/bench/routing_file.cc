#include "tests/bench/routing_file.h"

#include <algorithm>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace spearfish::bench {
namespace {

using Json = nlohmann::json;

RoutingParams ParamsOf(const Json& json) {
  return {.num_experts = json.at("E"),
          .top_k = json.at("k"),
          .sigma_g = json.at("sg"),
          .sigma_p = json.at("sp"),
          .sigma_s = json.at("ss"),
          .rho = json.at("rho")};
}

RoutingFile Parse(const Json& json) {
  RoutingFile file{.resident_fractions = json.at("resident_fractions"), .models = {}};
  const Json& published = json.at("published_held_out_hit_rates");
  for (const auto& [name, params] : json.at("params").items()) {
    KnownRouting& model = file.models[name];
    model.params = ParamsOf(params);
    model.curves = json.at("hit_rate_curves").at(name);
    if (published.contains(name)) model.published = published.at(name);
  }
  return file;
}

}  // namespace

absl::StatusOr<RoutingFile> ReadRoutingFile(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) return absl::NotFoundError(absl::StrCat("routing file can't be opened: ", path));
  try {
    return Parse(Json::parse(stream));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("routing file is malformed: ", path, ": ", error.what()));
  }
}

double RoutingFile::CurveAt(const KnownRouting& model, const std::string& policy,
                            double fraction) const {
  const auto found = model.curves.find(policy);
  if (found == model.curves.end()) return -1;
  const std::vector<double>& values = found->second;
  const auto above =
      std::lower_bound(resident_fractions.begin(), resident_fractions.end(), fraction);
  const auto i = static_cast<size_t>(above - resident_fractions.begin());
  if (i == 0) return values.front();
  if (i == values.size()) return values.back();
  const double low = resident_fractions[i - 1];
  const double part = (fraction - low) / (resident_fractions[i] - low);
  return values[i - 1] + part * (values[i] - values[i - 1]);
}

}  // namespace spearfish::bench
