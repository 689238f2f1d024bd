// Busy waiting for a few microseconds: cheaper than a futex when the other side is about to finish.
#ifndef KERNELS_CPU_SPIN_BRIEFLY_H_
#define KERNELS_CPU_SPIN_BRIEFLY_H_

namespace spearfish::kernels {

// 0 on a machine with one core, where spinning only delays the thread that is waited for.
int SpinRounds();

// Spins until `done()` or until a few microseconds have passed; says which.
template <typename Done>
bool SpinBriefly(const Done& done) {
  for (int i = SpinRounds(); i > 0; --i) {
    if (done()) return true;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  return done();
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CPU_SPIN_BRIEFLY_H_
