// What spearfish.v1.ControlService answers, as a router asks for it. Pure.
#ifndef COMMON_VLLM_ENGINE_INFO_CONVERSION_H_
#define COMMON_VLLM_ENGINE_INFO_CONVERSION_H_

#include "absl/time/time.h"
#include "common/vllm_engine/wire.h"
#include "spearfish/v1/control.pb.h"

namespace spearfish::vllm_engine {

wire::GetModelInfoResponse ToModelInfo(const v1::GetModelInfoResponse& model);

// `last_received`: of a Generate over this service; absl::InfinitePast() before the first.
wire::GetServerInfoResponse ToServerInfo(const v1::GetServerInfoResponse& server,
                                         const v1::GetLoadsResponse& loads,
                                         absl::Time last_received);

// One entry: the sum over the workers that are ready.
wire::GetLoadsResponse ToLoads(const v1::GetLoadsResponse& loads, absl::Time now);

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_INFO_CONVERSION_H_
