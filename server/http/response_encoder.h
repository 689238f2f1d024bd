// What the calls of one HTTP request give, as the body of its answer.
#ifndef SERVER_HTTP_RESPONSE_ENCODER_H_
#define SERVER_HTTP_RESPONSE_ENCODER_H_

#include <cstdint>
#include <string>

#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// Pure; used by one thread at a time. Messages of different calls may come in any order, those of
// one call as GenerateStream sends them.
class ResponseEncoder {
 public:
  virtual ~ResponseEncoder() = default;

  // Server-sent events; empty when the message makes none, and always where the answer is sent
  // whole.
  virtual std::string Add(size_t call, const v1::GenerateStreamResponse& message) = 0;
  // After the last message of all calls: the last events, or the whole body.
  virtual std::string End() = 0;
};

// What every JSON object of an answer begins with.
struct ResponseHead {
  std::string id = {};
  std::string model = {};
  int64_t created = 0;  // Unix seconds
};

}  // namespace spearfish::server

#endif  // SERVER_HTTP_RESPONSE_ENCODER_H_
