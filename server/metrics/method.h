// The gateway's methods, as metrics and logs name them.
#ifndef SERVER_METRICS_METHOD_H_
#define SERVER_METRICS_METHOD_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace spearfish::server {

enum class Method : uint8_t {
  kGenerate,
  kGenerateStream,
  kTokenize,
  kDetokenize,
  kAbort,
  kGetModelInfo,
  kGetServerInfo,
  kGetLoads,
  kGetExpertCacheStats,
  kDrain,
};

inline constexpr std::array<const char*, 10> kMethodNames = {
    "Generate",     "GenerateStream", "Tokenize", "Detokenize",          "Abort",
    "GetModelInfo", "GetServerInfo",  "GetLoads", "GetExpertCacheStats", "Drain"};

inline const char* Name(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

}  // namespace spearfish::server

#endif  // SERVER_METRICS_METHOD_H_
