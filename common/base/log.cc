#include "common/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace spearfish {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = spdlog::stderr_color_mt("spearfish");
    made->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%L%$ %v");
    return made;
  }();
  return *logger;
}

}  // namespace

void InitLog(absl::string_view role, LogLevel least) {
  Logger().set_pattern("%Y-%m-%d %H:%M:%S.%e %^%L%$ [" + std::string(role) + "] %v");
  Logger().set_level(ToSpdlog(least));
}

void Log(LogLevel level, absl::string_view message) {
  Logger().log(ToSpdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace spearfish
