// A float or byte array that shows writes beyond its end and values that were never written.
#ifndef TESTS_UNIT_KERNELS_MOE_POISONED_ARRAY_H_
#define TESTS_UNIT_KERNELS_MOE_POISONED_ARRAY_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace spearfish::kernels {

// Owns `count` values of T, 64-byte aligned, every byte poisoned (a float is then a NaN), with
// guard bytes on both sides.
template <typename T>
class PoisonedArray {
 public:
  explicit PoisonedArray(size_t count)
      : bytes_(count * sizeof(T)),
        memory_(static_cast<std::byte*>(::operator new(bytes_ + 2 * kGuard, kAlignment))) {
    std::memset(memory_.get(), kPoison, bytes_ + 2 * kGuard);
  }

  T* data() { return reinterpret_cast<T*>(memory_.get() + kGuard); }
  size_t bytes() const { return bytes_; }

  bool GuardsIntact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (memory_.get()[i] != std::byte{kPoison}) return false;
      if (memory_.get()[kGuard + bytes_ + i] != std::byte{kPoison}) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr int kPoison = 0xff;
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(std::byte* memory) const { ::operator delete(memory, kAlignment); }
  };

  size_t bytes_;
  std::unique_ptr<std::byte, Delete> memory_;
};

}  // namespace spearfish::kernels

#endif  // TESTS_UNIT_KERNELS_MOE_POISONED_ARRAY_H_
