"""Crashes around one segment: killed and stopped populators, killed workers, damaged bytes.

usage: crash_test.py BIN_FOLDER SOURCE_FOLDER
protoc's output and tests/integration/serving are on PYTHONPATH.
"""

import concurrent.futures
import os
import random
import signal
import sys
import time
import unittest

import grpc
from checkpoint_maker import write_checkpoint
from client import Result, stream_request
from rig import BUNDLED, SANITIZED, STRESS, Rig, eventually

LAYERS, EXPERTS, CHANNELS = 24, 16, 512
NUM_KILLS = 4 if SANITIZED else 10  # a sanitizer quantises ten times slower
PROMPT = [5, 17, 101, 43, 9, 9, 250]
LAYER_READY_OFFSET = 4096 + 24
# So little device memory that a long prompt takes soft slots, which are reloaded after it.
TIGHT = ["--vram-budget=90MiB", "--max-num-seqs=4", "--max-num-batched-tokens=64",
         "--max-model-len=2048"]


def greedy(worker, tokens=60):
    return Result(worker.client().stream(
        stream_request(PROMPT, tokens, temperature=0, ignore_eos=True))).tokens


def flip(path, offset):
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


class CrashTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.cleanup)
        cls.model = cls.rig.path / "model"
        write_checkpoint(BUNDLED, cls.model, LAYERS, EXPERTS, CHANNELS)
        cls.packed = cls.rig.path / "reference.sfc"
        begin = time.monotonic()
        cls.rig.pack_file(cls.model, cls.packed, "--threads=1")
        cls.population_s = time.monotonic() - begin
        cls.reference = cls.packed.read_bytes()

    def setUp(self):
        self.addCleanup(self.rig.clear)

    def assert_segment_is_the_reference(self):
        self.assertTrue(self.rig.segment().read_bytes() == self.reference, "segment differs")

    def slow_populator(self):
        return self.rig.populator(self.model, "--threads=1")

    def stopped_populator(self):
        """Stopped with its segment populating: not ready, and nobody else can go on."""
        for _ in range(20):
            process = self.slow_populator()
            eventually(lambda: self.rig.segment() or not process.running(), "a segment")
            process.signal(signal.SIGSTOP)
            if process.running() and self.rig.segment().read_bytes() != self.reference:
                return process
            self.rig.clear()
        raise AssertionError("populates too fast to be stopped")

    def waiting_worker(self, *flags):
        worker = self.rig.worker(self.model, *flags)
        worker.await_log("waiting for the process that populates")
        return worker

    # Populators

    def test_survivors_of_a_killed_populator_end_ready(self):
        for seed in range(NUM_KILLS):
            with self.subTest(seed=seed):
                moment = random.Random(seed).random() * self.population_s
                begin = time.monotonic()
                populator = self.slow_populator()
                workers = [self.rig.worker(self.model) for _ in range(2)]
                time.sleep(max(0, begin + moment - time.monotonic()))
                populator.kill()
                for worker in workers:
                    worker.await_ready()
                self.assert_segment_is_the_reference()
                self.assertEqual(greedy(workers[0], 8), greedy(workers[1], 8))
                self.rig.clear()

    def test_survivors_of_a_killed_reader_of_a_file_end_ready(self):
        for seed in range(3):
            populator = self.rig.populator(self.model, f"--from={self.packed}", "--threads=1")
            worker = self.rig.worker(self.model, f"--cache-file={self.packed}")
            time.sleep(random.Random(seed).random() * 0.05)
            populator.kill()
            worker.await_ready()
            self.assert_segment_is_the_reference()
            self.rig.clear()

    def test_a_stopped_populator_is_waited_for(self):
        populator = self.stopped_populator()
        worker = self.waiting_worker()
        impatient = self.waiting_worker("--segment-timeout=300ms")
        self.assertEqual(impatient.wait(), 1)
        self.assertIn("expert cache not ready in time", impatient.log())
        self.assertTrue(worker.running())
        populator.signal(signal.SIGCONT)
        worker.await_ready()
        self.assertEqual(populator.wait(), 0)
        self.assertFalse(worker.cache_stats().populated_here)
        self.assert_segment_is_the_reference()

    def test_a_stopped_populator_that_is_killed_has_a_successor(self):
        populator = self.stopped_populator()
        worker = self.waiting_worker()
        populator.kill()
        worker.await_ready()
        self.assertTrue(worker.cache_stats().populated_here)
        self.assert_segment_is_the_reference()

    # Workers

    def test_a_killed_worker_leaves_the_others_alone_and_comes_back_at_once(self):
        victim, survivor = (self.rig.worker(self.model, "--threads=1") for _ in range(2))
        for worker in (victim, survivor):
            worker.await_ready()
        expected = greedy(survivor, 400)
        self.assertEqual(greedy(victim, 400), expected)
        call = survivor.client().stream(
            stream_request(PROMPT, 400, temperature=0, ignore_eos=True))
        messages = [next(call), next(call)]
        victim.kill()
        self.assertEqual(Result(messages + list(call)).tokens, expected)
        again = self.rig.worker(self.model, "--threads=1")
        seconds = again.await_ready()
        self.assertFalse(again.cache_stats().populated_here)
        self.assertEqual(greedy(again, 400), expected)
        print(f"restarted worker ready after {seconds:.3f} s; populating took "
              f"{self.population_s:.3f} s on one thread")

    def test_a_worker_killed_while_it_reloads_harms_nobody(self):
        survivor = self.rig.worker(self.model, "--threads=1")
        survivor.await_ready()
        expected = greedy(survivor, 60)
        for seed in range(3 if STRESS else 1):
            victim = self.rig.worker(self.model, "--threads=1", *TIGHT)
            victim.await_ready()
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                clients = [pool.submit(self.send_long_prompts, victim) for _ in range(2)]
                eventually(lambda: victim.cache_stats().reloads.count > 0, "a reload")
                time.sleep(random.Random(seed).random() * 0.2)
                victim.kill()
                for client in clients:
                    self.assertIsInstance(client.exception(), grpc.RpcError)
            self.assertEqual(greedy(survivor, 60), expected)
        again = self.rig.worker(self.model, "--threads=1")
        again.await_ready()
        self.assertFalse(again.cache_stats().populated_here)
        self.assertEqual(greedy(again, 60), expected)
        self.assert_segment_is_the_reference()

    @staticmethod
    def send_long_prompts(worker):
        """Until the worker dies: prompts long enough to take soft frames."""
        while True:
            list(worker.client().stream(stream_request(
                [i * 7 % 2000 for i in range(1500)], 2, temperature=0, ignore_eos=True)))

    # Damage

    def test_a_truncated_segment_ends_a_waiting_worker_with_the_remedy(self):
        self.stopped_populator()
        worker = self.waiting_worker()
        os.truncate(self.rig.segment(), len(self.reference) // 2)
        self.assertEqual(worker.wait(), 1)
        self.assertIn("DATA_LOSS", worker.log())
        self.assertIn("spearfish-pack remove " + self.rig.segment().name, worker.log())

    def test_a_flipped_header_bit_ends_a_waiting_worker_with_the_remedy(self):
        self.stopped_populator()
        worker = self.waiting_worker()
        flip(self.rig.segment(), 100)
        self.assertEqual(worker.wait(), 1)
        self.assertIn("header checksum does not match", worker.log())

    def test_a_flipped_bit_of_a_ready_layer_is_repaired_by_the_successor(self):
        populator = self.stopped_populator()
        worker = self.waiting_worker()
        eventually(lambda: self.first_layer_ready(populator), "a ready layer")
        flip(self.rig.segment(), 3 * 4096)
        populator.kill()
        worker.await_ready()
        self.assert_segment_is_the_reference()

    def first_layer_ready(self, populator):
        with open(self.rig.segment(), "rb") as file:
            file.seek(LAYER_READY_OFFSET)
            if file.read(4) != bytes(4):
                return True
        populator.signal(signal.SIGCONT)
        time.sleep(0.01)
        populator.signal(signal.SIGSTOP)
        return False

    def test_a_flipped_bit_of_a_ready_segment_is_found_by_verification(self):
        self.assertEqual(self.slow_populator().wait(), 0)
        flip(self.rig.segment(), len(self.reference) - 9000)
        strict = self.rig.worker(self.model, "--verify-cache=before")
        self.assertEqual(strict.wait(), 1)
        self.assertIn(f"checksum mismatch: layer {LAYERS - 1}", strict.log())

        worker = self.rig.worker(self.model)  # --verify-cache=background
        worker.await_ready()
        eventually(lambda: worker.load().cache_error, "a cache error")
        self.assertIn(f"layer {LAYERS - 1}", worker.load().cache_error)
        self.assertFalse(worker.load().ready)
        with self.assertRaises(grpc.RpcError) as caught:
            greedy(worker)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DATA_LOSS)
        self.assertEqual(worker.stop(), 0)

        trusting = self.rig.worker(self.model, "--verify-cache=off")
        trusting.await_ready()
        greedy(trusting, 2)

    def test_truncation_under_a_serving_worker_ends_it_with_a_line(self):
        worker = self.rig.worker(self.model, "--max-coverage=0", "--verify-cache=off")
        worker.await_ready()
        os.chmod(self.rig.segment(), 0o644)
        os.truncate(self.rig.segment(), 4096)
        with self.assertRaises(grpc.RpcError):
            greedy(worker)
        self.assertEqual(worker.wait(), 128 + signal.SIGBUS)
        self.assertIn("expert cache truncated while it was mapped", worker.log())
        self.assertIn(self.rig.segment().name, worker.log())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
