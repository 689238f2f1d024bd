"""The origin's failure, reproduced and survived: a memory limit that holds the cache and the device
memory, but not a mirror of the cache.

usage: memory_limit_test.py BIN_FOLDER SOURCE_FOLDER MIRROR_PROBE

On the CPU device the device's memory is process memory, so the limit has to hold it too:
cache (C) + device budget (A) + a process (P) <= limit < cache + mirror = 2 C.
SPEARFISH_WORKER_FLAGS adds flags to the workers (another pool, another budget).
"""

import os
import pathlib
import resource
import shlex
import signal
import subprocess
import sys
import unittest

import grpc
from checkpoint_maker import write_checkpoint
from client import Result, stream_request
from limited_memory import LimitedCgroup
from rig import BIN, BUNDLED, SANITIZED, STRESS, Rig, eventually

PROBE = pathlib.Path(sys.argv[3]).resolve()
MIB = 1 << 20
LAYERS, EXPERTS, CHANNELS = 16, 80 if STRESS else 64, 1024  # C: 255 or 204 MiB
BUDGET = 64 * MIB  # A
PROCESS = 64 * MIB  # P: code, heap, threads' stacks, the page cache in use
FLAGS = [f"--vram-budget={BUDGET}", "--max-num-seqs=2", "--max-model-len=128",
         "--max-num-batched-tokens=64", "--threads=2",
         *shlex.split(os.environ.get("SPEARFISH_WORKER_FLAGS", ""))]


def generate(worker, tokens=20):
    return Result(worker.client().stream(
        stream_request([7, 8, 9], tokens, temperature=0, ignore_eos=True))).tokens


@unittest.skipIf(SANITIZED, "a sanitizer's own memory is beyond every figure here")
class MemoryLimitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rig = Rig(on_shared_memory=True)  # only a tmpfs is charged to the cgroup
        cls.addClassCleanup(cls.rig.cleanup)
        cls.model = cls.rig.path / "model"
        write_checkpoint(BUNDLED, cls.model, LAYERS, EXPERTS, CHANNELS)
        packed = cls.rig.path / "cache.sfc"
        cls.rig.pack_file(cls.model, packed, "--scale=absmax")
        cls.cache_bytes = packed.stat().st_size
        packed.unlink()

    def setUp(self):
        self.addCleanup(self.rig.clear)

    def limit(self, limit_bytes):
        cgroup = LimitedCgroup.create(limit_bytes)
        if cgroup is None:
            self.skipTest("no memory controller that this user may write, of cgroup v1 or v2")
        self.addCleanup(cgroup.remove)
        self.addCleanup(self.rig.clear)  # before the cgroup is removed
        return cgroup

    def limit_between(self):
        limit_bytes = self.cache_bytes + BUDGET + PROCESS
        self.assertLess(limit_bytes, 2 * self.cache_bytes)
        return limit_bytes

    def test_a_mirror_is_killed_and_the_worker_lives(self):
        limit_bytes = self.limit_between()
        cgroup = self.limit(limit_bytes)
        populator = self.rig.populator(self.model, "--scale=absmax", preexec=cgroup.join)
        self.assertEqual(populator.wait(), 0, populator.log())
        mirror = self.rig.start(PROBE, str(self.rig.segment()), preexec=cgroup.join)
        self.assertEqual(mirror.wait(), -signal.SIGKILL, mirror.log())
        kills = cgroup.oom_kills()
        self.assertGreaterEqual(kills, 1)
        self.rig.clear()

        worker = self.rig.worker(self.model, "--scale=absmax", *FLAGS, preexec=cgroup.join)
        worker.await_ready()
        self.assertTrue(worker.cache_stats().populated_here)
        self.assertEqual(len(generate(worker)), 20)
        stats = worker.cache_stats()
        eventually(lambda: worker.cache_stats().loading == 0, "a pool that has loaded")
        self.assertLess(stats.extra_host_bytes, MIB)
        self.assertTrue(worker.load().ready)
        self.assertEqual(cgroup.oom_kills(), kills)
        stats = worker.cache_stats()
        self.assertEqual(stats.resident, stats.slots_total)
        print(f"cgroup {cgroup.version.name}, limit {limit_bytes / MIB:.0f} MiB: cache "
              f"{self.cache_bytes / MIB:.0f} MiB + mirror: killed; + device memory "
              f"{BUDGET / MIB:.0f} MiB: lives, coverage {100 * stats.coverage:.1f} % "
              f"({stats.resident} of {stats.slots_total} slots), peak "
              f"{cgroup.peak_bytes() / MIB:.0f} MiB")

    def test_a_limit_below_the_cache_is_refused_with_both_figures(self):
        cgroup = self.limit(self.cache_bytes * 9 // 10)
        for process in (self.rig.worker(self.model, "--scale=absmax", *FLAGS,
                                        preexec=cgroup.join),
                        self.rig.populator(self.model, "--scale=absmax", preexec=cgroup.join)):
            self.assertEqual(process.wait(), 1, process.log())
            self.assertRegex(process.log(),
                             r"not enough memory for the expert cache: it needs [0-9.]+ MiB, "
                             r"[0-9.]+ MiB are available in cgroup " + str(cgroup.folder))
            self.assertEqual(list(self.rig.shm.iterdir()), [])
        self.assertEqual(cgroup.oom_kills(), 0)

    def test_resource_limits_are_refused_with_both_figures(self):
        for which, bytes_, text in (
                (resource.RLIMIT_FSIZE, 10 * MIB, r"it needs [0-9.]+ MiB, this process may write "
                 r"files of 10.0 MiB; raise ulimit -f"),
                (resource.RLIMIT_AS, 900 * MIB, r"it needs [0-9.]+ MiB, this process may map "
                 r"[0-9.]+ MiB more; raise ulimit -v")):
            process = self.rig.populator(
                self.model, "--scale=absmax", "--threads=1",
                preexec=lambda which=which, bytes_=bytes_: resource.setrlimit(
                    which, (bytes_, bytes_)))
            self.assertEqual(process.wait(), 1, process.log())
            self.assertRegex(process.log(), text)
            self.assertEqual(list(self.rig.shm.iterdir()), [])

    def test_below_the_floor_nothing_is_admitted_until_memory_is_back(self):
        cgroup = self.limit(400 * MIB)
        worker = self.rig.worker(BUNDLED, "--memory-floor=0.3", *FLAGS, preexec=cgroup.join)
        worker.await_ready()
        self.assertTrue(worker.load().ready)
        expected = generate(worker)
        hog = subprocess.Popen(
            [sys.executable, "-c", f"x = b'x' * {300 * MIB}; print(len(x), flush=True); input()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=cgroup.join)
        self.addCleanup(hog.stdin.close)
        self.addCleanup(hog.stdout.close)
        self.addCleanup(hog.wait)
        self.addCleanup(hog.kill)
        eventually(lambda: worker.load().memory_low, "low memory")
        load = worker.load()
        self.assertFalse(load.ready)
        self.assertEqual(load.memory_floor_bytes, 120 * MIB)
        self.assertLess(load.memory_available_bytes, 144 * MIB)
        self.assertIn(str(cgroup.folder), load.memory_pool)
        with self.assertRaises(grpc.RpcError) as caught:
            generate(worker)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn("the floor is 120.0 MiB", caught.exception.details())
        status = subprocess.run([str(BIN / "spearfish"), "status", f"--endpoint={worker.address}"],
                                capture_output=True, text=True, check=True).stdout
        self.assertIn("memory low: ", status)
        hog.kill()
        eventually(lambda: worker.load().ready, "memory that is back")
        self.assertEqual(generate(worker), expected)
        for line in ("memory low: ", "memory is back: "):
            eventually(lambda line=line: line in worker.log(), "a line in the log")
            self.assertEqual(worker.log().count(line), 1, worker.log())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
