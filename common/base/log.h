// One line to stderr with time, level and process role, as text or as a JSON object. The header
// stays free of spdlog so that including it costs nothing.
//
// What a log may hold of a request: ids, counts, times, addresses, status. Never prompts, outputs
// or metadata: those are the client's secrets.
#ifndef COMMON_BASE_LOG_H_
#define COMMON_BASE_LOG_H_

#include <initializer_list>
#include <span>

#include "absl/strings/string_view.h"
#include "common/base/log_line.h"

namespace spearfish {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// kText for people, kJson for machines: one object a line with time (RFC 3339, UTC), level,
// process, message, then the line's fields.
enum class LogFormat { kText, kJson };

// Names the process in every later line ("worker cpu", "gateway"). Call at the top of main, before
// other threads log.
void InitLog(absl::string_view role, LogLevel least = LogLevel::kInfo,
             LogFormat format = LogFormat::kText);

// Thread-safe. Before InitLog the role is empty and the least level is kInfo.
void Log(LogLevel level, absl::string_view message, std::span<const LogField> fields = {});

inline void LogInfo(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, {fields.begin(), fields.size()});
}
inline void LogWarning(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, {fields.begin(), fields.size()});
}
inline void LogError(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, {fields.begin(), fields.size()});
}

}  // namespace spearfish

#endif  // COMMON_BASE_LOG_H_
