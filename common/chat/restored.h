// A variable that is put back at the end of a scope.
#ifndef COMMON_CHAT_RESTORED_H_
#define COMMON_CHAT_RESTORED_H_

#include <utility>

namespace spearfish::chat {

// Puts `value` back to what it was when this goes.
template <typename T>
class Restored {
 public:
  Restored(T& value, T meanwhile) : value_(value), before_(std::exchange(value, meanwhile)) {}
  ~Restored() { value_ = before_; }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;

 private:
  T& value_;
  const T before_;
};

}  // namespace spearfish::chat

#endif  // COMMON_CHAT_RESTORED_H_
