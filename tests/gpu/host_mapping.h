// Shared memory as workers see the expert cache: written once, then mapped read-only.
#ifndef TESTS_GPU_HOST_MAPPING_H_
#define TESTS_GPU_HOST_MAPPING_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <span>

namespace spearfish::kernels {

// Owns an anonymous shared-memory object mapped twice: writable, and read-only.
class HostMapping {
 public:
  explicit HostMapping(size_t bytes) : bytes_(bytes) {
    const int file = memfd_create("spearfish-test", 0);
    if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) std::abort();
    writable_ = Map(file, PROT_READ | PROT_WRITE);
    readable_ = Map(file, PROT_READ);
    close(file);
  }
  ~HostMapping() {
    munmap(writable_, bytes_);
    munmap(readable_, bytes_);
  }
  HostMapping(const HostMapping&) = delete;
  HostMapping& operator=(const HostMapping&) = delete;

  std::byte* writable() const { return static_cast<std::byte*>(writable_); }
  std::span<const std::byte> readable() const {
    return {static_cast<const std::byte*>(readable_), bytes_};
  }

 private:
  void* Map(int file, int protection) const {
    void* memory = mmap(nullptr, bytes_, protection, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) std::abort();
    return memory;
  }

  const size_t bytes_;
  void* writable_;
  void* readable_;
};

}  // namespace spearfish::kernels

#endif  // TESTS_GPU_HOST_MAPPING_H_
