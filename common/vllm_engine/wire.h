// The names of the wire inside this folder.
#ifndef COMMON_VLLM_ENGINE_WIRE_H_
#define COMMON_VLLM_ENGINE_WIRE_H_

#include "vllm/grpc/engine/vllm_engine.pb.h"

namespace spearfish::vllm_engine {

namespace wire = ::vllm::grpc::engine;

}  // namespace spearfish::vllm_engine

#endif  // COMMON_VLLM_ENGINE_WIRE_H_
