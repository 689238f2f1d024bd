// One line to stderr with time, level and process role. The header stays free of spdlog so that
// including it costs nothing.
#ifndef COMMON_BASE_LOG_H_
#define COMMON_BASE_LOG_H_

#include "absl/strings/string_view.h"

namespace spearfish {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Names the process in every later line ("worker cpu", "gateway"). Call once, at the top of main.
void InitLog(absl::string_view role, LogLevel least = LogLevel::kInfo);

// Thread-safe. Before InitLog the role is empty and the least level is kInfo.
void Log(LogLevel level, absl::string_view message);

inline void LogInfo(absl::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarning(absl::string_view message) { Log(LogLevel::kWarning, message); }
inline void LogError(absl::string_view message) { Log(LogLevel::kError, message); }

}  // namespace spearfish

#endif  // COMMON_BASE_LOG_H_
