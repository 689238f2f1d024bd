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

// Written by InitLog only, before there are other threads.
struct Settings {
  LogFormat format = LogFormat::kText;
  std::string role;
};

Settings& LogSettings() {
  static auto* const settings = new Settings;  // never destroyed: threads may log until the end
  return *settings;
}

}  // namespace

void InitLog(absl::string_view role, LogLevel least, LogFormat format) {
  LogSettings() = {format, std::string(role)};
  if (format == LogFormat::kJson) {
    Logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})",
                         spdlog::pattern_time_type::utc);
  } else {
    Logger().set_pattern("%Y-%m-%d %H:%M:%S.%e %^%L%$ [" + std::string(role) + "] %v");
  }
  Logger().set_level(ToSpdlog(least));
}

void Log(LogLevel level, absl::string_view message, std::span<const LogField> fields) {
  const spdlog::level::level_enum to = ToSpdlog(level);
  if (!Logger().should_log(to)) return;
  const Settings& settings = LogSettings();
  const std::string line = settings.format == LogFormat::kJson
                               ? JsonMembers(settings.role, message, fields)
                               : TextLine(message, fields);
  Logger().log(to, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace spearfish
