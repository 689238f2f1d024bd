// What the kernel says of this process, under the names that Prometheus' own clients use.
#ifndef COMMON_METRICS_PROCESS_METRICS_H_
#define COMMON_METRICS_PROCESS_METRICS_H_

#include "common/metrics/metric_list.h"

namespace spearfish {

// Reads /proc/self; leaves out what can't be read. Counts the experts' mapping, too: each worker's
// resident bytes hold the pages of the segment that it has touched.
void AddProcessMetrics(MetricList& out);

}  // namespace spearfish

#endif  // COMMON_METRICS_PROCESS_METRICS_H_
