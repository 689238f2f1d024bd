// The release that this source tree builds.
#ifndef COMMON_BASE_VERSION_H_
#define COMMON_BASE_VERSION_H_

namespace spearfish {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace spearfish

#endif  // COMMON_BASE_VERSION_H_
