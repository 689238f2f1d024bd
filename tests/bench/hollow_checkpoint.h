// Checkpoints as large as real ones, made in seconds: dense weights are random, the experts a hole.
#ifndef TESTS_BENCH_HOLLOW_CHECKPOINT_H_
#define TESTS_BENCH_HOLLOW_CHECKPOINT_H_

#include <string>

#include "absl/status/status.h"
#include "tests/support/synthetic_checkpoint.h"

namespace spearfish::bench {

// Writes config.json and one shard into an existing folder. All tensors are BF16; experts are fused
// and no byte of them is ever written: the file is sparse, and they read as zeros. Who wants other
// experts makes their segment (random_segment.h). Matrices are uniform with variance 1 / inputs,
// norms within a tenth of 1; the values do not depend on the number of threads. Of the options'
// spellings only the plain one counts: dtype, experts, prefix, shards and tokenizer are ignored.
absl::Status WriteHollowCheckpoint(const tests::SyntheticOptions& options,
                                   const std::string& folder);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_HOLLOW_CHECKPOINT_H_
