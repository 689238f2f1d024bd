#include "common/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace spearfish {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

void AddProcessMetrics(MetricList& out) {
  uint64_t pages = 0;
  uint64_t resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> pages >> resident_pages) {
    out.Gauge("process_resident_memory_bytes", "Resident memory, shared pages included",
              resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  }
  std::error_code error;
  uint64_t open_files = 0;
  for (std::filesystem::directory_iterator file("/proc/self/fd", error), end; !error && file != end;
       file.increment(error)) {
    ++open_files;
  }
  if (!error) out.Gauge("process_open_fds", "Open file descriptors", open_files);
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    out.Counter("process_cpu_seconds_total", "User and system time",
                Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  }
}

}  // namespace spearfish
