"""Workers that start and stop, over and over, leave nothing behind: no segment, lock, mapping or
descriptor. 20 cycles; SPEARFISH_STRESS=1 runs 1,000.

usage: cycle_test.py BIN_FOLDER SOURCE_FOLDER
"""

import os
import pathlib
import sys
import time
import unittest

from client import unary_request
from rig import BUNDLED, STRESS, Rig

CYCLES = 1000 if STRESS else 20


def segment_mappings(pid):
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text("utf-8")
    return sum("/spearfish-" in line and not line.endswith("worker") for line in maps.splitlines())


def descriptors(pid):
    """Those that stay: a worker opens files for a moment to see how much memory is left."""
    counts = []
    for _ in range(10):
        counts.append(len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.01)
    return min(counts)


class CycleTest(unittest.TestCase):
    def setUp(self):
        self.rig = Rig()
        self.addCleanup(self.rig.cleanup)

    def test_nothing_is_left(self):
        resident = self.rig.worker(BUNDLED, "--threads=1", "--vram-budget=64MiB",
                                   "--max-num-seqs=4", "--max-model-len=256")
        resident.await_ready()
        resident.load()  # connects
        files = sorted(p.name for p in self.rig.shm.iterdir())
        self.assertEqual(len(files), 2, files)  # the segment and its lock
        before = descriptors(resident.pid), segment_mappings(resident.pid)
        self.assertEqual(before[1], 1)
        times = []
        for _ in range(CYCLES):
            times.append(self.cycle())
        self.assertEqual(sorted(p.name for p in self.rig.shm.iterdir()), files)
        self.assertEqual((descriptors(resident.pid), segment_mappings(resident.pid)), before)
        self.assertFalse(list(self.rig.path.glob("*.sock"))[1:], "sockets were left")
        self.assertEqual(resident.stop(), 0)
        times.sort()
        print(f"{CYCLES} cycles; ready after {times[len(times) // 2]:.3f} s (median), "
              f"{times[-1]:.3f} s (worst)")

    def cycle(self):
        worker = self.rig.worker(BUNDLED, "--threads=1", "--vram-budget=64MiB", "--max-num-seqs=4",
                                 "--max-model-len=256")
        seconds = worker.await_ready()
        self.assertEqual(segment_mappings(worker.pid), 1)
        self.assertFalse(worker.cache_stats().populated_here)
        worker.client().generate(unary_request([1, 2, 3], 2))
        worker.client().close()
        self.assertEqual(worker.stop(), 0)
        worker.log_path.unlink()
        self.rig.processes.remove(worker)
        return seconds


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
