// What the client of one stream has got, and how another worker goes on from there.
#ifndef SERVER_API_STREAM_PROGRESS_H_
#define SERVER_API_STREAM_PROGRESS_H_

#include <cstdint>
#include <vector>

#include "spearfish/v1/inference.pb.h"

namespace spearfish::server {

// 4 bytes each are kept per stream; a longer one can't be resumed.
inline constexpr uint64_t kMaxResumableTokens = 1 << 20;

// A pure value: the messages of all workers go through Note in the order in which the client gets
// them. Text needs no record: it follows from the tokens.
class StreamProgress {
 public:
  // A request that resumes one already (its client lost a gateway) counts from there.
  explicit StreamProgress(v1::GenerateStreamRequest request);

  // The message is about to be delivered. False when the client has it: the PromptInfo of a worker
  // that goes on.
  bool Note(const v1::GenerateStreamResponse& message);

  // The request as it came, until something was delivered; then as a continuation.
  const v1::GenerateStreamRequest& NextRequest();

  bool begun() const { return begun_; }
  // Every sequence has had its Finish.
  bool complete() const { return begun_ && num_finished_ == sequences_.size(); }
  bool resumable() const { return resumable_; }
  uint64_t num_tokens() const { return num_tokens_; }  // delivered through here

 private:
  struct Sequence {
    std::vector<uint32_t> generated;
    bool finished = false;
  };
  void NoteDelta(const v1::Delta& delta);

  v1::GenerateStreamRequest request_;
  std::vector<Sequence> sequences_;
  bool begun_ = false;  // something was delivered through here
  bool prompt_delivered_ = false;
  bool resumable_ = true;
  uint64_t num_tokens_ = 0;
  size_t num_finished_ = 0;
};

}  // namespace spearfish::server

#endif  // SERVER_API_STREAM_PROGRESS_H_
