// What device memory gives to a kernel that only reads.
#ifndef TESTS_GPU_HBM_READ_H_
#define TESTS_GPU_HBM_READ_H_

namespace spearfish::gpu {

// Bytes a second of a read of 1 GiB, the median of several, on the current device; takes and frees
// that memory. A CUDA error ends the process.
double MeasureHbmRead();

}  // namespace spearfish::gpu

#endif  // TESTS_GPU_HBM_READ_H_
