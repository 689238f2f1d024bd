"""Workers and gateways that die, hang or are restarted while clients are served.

usage: faults_test.py BIN_FOLDER SOURCE_FOLDER
The protoc output and this folder are on PYTHONPATH. SPEARFISH_STRESS=1 makes 1,000 kills and 10,000
cancels of what are otherwise a few.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

import grpc
from client import Client, Result, stream_request, unary_request
from fleet import Fleet, eventually
from spearfish.v1 import inference_pb2
from streams import PROMPT, Streams, requests, whole

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
STRESS = bool(os.environ.get("SPEARFISH_STRESS"))
SANITIZED = os.environ.get("SPEARFISH_SANITIZE", "") not in ("", "OFF")
NUM_KILLS = 1000 if STRESS else 20
NUM_CANCELS = 10000 if STRESS else 300


def pin(pid, cores):
    """All threads that it has now; some may end meanwhile."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


def start_spinning():
    """On what time nobody else wants."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
    return process


def stop(process):
    process.kill()
    process.wait()


class FaultsTest(unittest.TestCase):
    def start(self, num_workers, *gateway_flags):
        fleet = Fleet(BIN, MODEL, num_workers, ["--scale=absmax"], gateway_flags)
        self.addCleanup(fleet.cleanup)
        self.client = Client(fleet.endpoint)
        self.addCleanup(self.client.close)
        return fleet

    def loads(self):
        return self.client.control("GetLoads").workers

    def num_ready(self):
        return sum(load.ready for load in self.loads())

    def reference(self, fleet):
        worker = Client(fleet.addresses[0])
        try:
            return [(request, whole(worker.stream(request))) for request in requests()]
        finally:
            worker.close()

    def test_streams_go_on_when_workers_are_killed(self):
        fleet = self.start(3, "--retry-patience-ms=60000")
        streams = Streams(fleet.endpoint, self.reference(fleet), 4)
        rng = random.Random(1)
        kills = 0
        try:
            while kills < NUM_KILLS and not streams.problems:
                eventually(lambda: self.num_ready() >= 2, "two workers ready")
                busy = [i for i, load in enumerate(self.loads()) if load.ready and load.in_flight]
                if not busy:
                    time.sleep(0.005)
                    continue
                victim = rng.choice(busy)
                fleet.kill_worker(victim)
                kills += 1
                fleet.start_worker(victim)
                time.sleep(rng.uniform(0, 0.2))
                if kills % 3 == 0:
                    # A stream that loses 8 workers without a message between is given up, and a
                    # sanitizer's prefill may take longer than the next worker's start.
                    streams.await_progress()
        finally:
            streams.stop()
        self.assertEqual(streams.problems, [])
        self.assertGreater(streams.finished, 0)
        print(f"{kills} kills of busy workers, {streams.finished} streams whole")

    def test_no_worker_left_is_told_at_once(self):
        fleet = self.start(2)
        call = self.client.stream(stream_request(PROMPT, None, ignore_eos=True))
        next(call)
        for number in range(2):
            fleet.kill_worker(number)
        with self.assertRaises(grpc.RpcError) as lost:
            for _ in call:
                pass
        self.assertEqual(lost.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("worker lost after", lost.exception.details())
        begin = time.monotonic()
        with self.assertRaises(grpc.RpcError) as refused:
            list(self.client.stream(stream_request(PROMPT, 4)))
        print(f"refused after {time.monotonic() - begin:.2f} s")
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_a_stopped_worker_is_replaced(self):
        fleet = self.start(2, "--worker-timeout-s=2", "--retry-patience-ms=60000")
        reference = self.reference(fleet)
        streams = Streams(fleet.endpoint, reference, 4)
        try:
            eventually(lambda: all(load.in_flight for load in self.loads()), "both are busy")
            fleet.workers[1].send_signal(signal.SIGSTOP)
            begin, finished = time.monotonic(), streams.finished
            eventually(lambda: streams.finished > finished + 8, "streams finish at the other")
            print(f"8 streams after the stop in {time.monotonic() - begin:.1f} s")
            eventually(lambda: not self.loads()[1].in_flight, "its streams went on elsewhere")
            print(f"none at the stopped one after {time.monotonic() - begin:.1f} s")
            fleet.workers[1].send_signal(signal.SIGCONT)
            eventually(lambda: self.num_ready() == 2, "it is back")
        finally:
            fleet.workers[1].send_signal(signal.SIGCONT)
            streams.stop()
        self.assertEqual(streams.problems, [])

    def test_cancels_leave_nothing_behind(self):
        fleet = self.start(2)
        rng = random.Random(2)
        for first in range(0, NUM_CANCELS, 50):
            calls = [self.client.stream(stream_request(PROMPT, None, ignore_eos=True))
                     for _ in range(min(50, NUM_CANCELS - first))]
            for call in calls:
                if rng.random() < 0.5:
                    next(call)
                call.cancel()
        for address in fleet.addresses:
            worker = Client(address)
            self.addCleanup(worker.close)

            def idle(worker=worker):
                load = worker.control("GetLoads").workers[0]
                return not (load.running_sequences or load.waiting_sequences
                            or load.kv_blocks_used)
            eventually(idle, "no sequence is left")
        eventually(lambda: not any(load.in_flight for load in self.loads()), "no lease is left")

    def test_overload_is_refused_and_costs_the_admitted_little(self):
        fleet = self.start(1, "--max-queue=32", "--max-in-flight=16")
        request = unary_request(PROMPT, 64, temperature=0, ignore_eos=True)
        # What the load costs this client must not be taken from the worker, which is a CPU device:
        # that has a core to itself, and the others, which may be halves of the same one, are always
        # busy.
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            self.addCleanup(pin, os.getpid(), cores)
            pin(fleet.workers[0].pid, cores[-1:])
            pin(fleet.gateway.pid, cores[:-1])
            pin(os.getpid(), cores[:-1])
            for _ in cores[:-1]:
                self.addCleanup(stop, start_spinning())
        call = self.client.channel.unary_unary(
            "/spearfish.v1.InferenceService/Generate",
            request_serializer=type(request).SerializeToString,
            response_deserializer=inference_pb2.GenerateResponse.FromString)

        def run(rate, seconds):
            """At most 16 at once without a rate, open loop with one: (finished/s, refusals)."""
            slots, futures = threading.Semaphore(16), []
            begin = time.monotonic()
            while time.monotonic() < begin + seconds:
                if rate:
                    time.sleep(max(0, begin + len(futures) / rate - time.monotonic()))
                else:
                    slots.acquire()
                sent, ended = time.monotonic(), []
                future = call.future(request, timeout=60)
                future.add_done_callback(lambda _, e=ended: (e.append(time.monotonic()),
                                                             slots.release()))
                futures.append((future, sent, ended))
            finished, refusals = 0, []
            for future, sent, ended in futures:
                error = future.exception()
                eventually(lambda e=ended: e, "its callback has run")
                if error is None:
                    finished += ended[0] < begin + seconds
                else:
                    self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                    self.assertIn("grpc-retry-pushback-ms", dict(error.trailing_metadata()))
                    refusals.append(ended[0] - sent)
            return finished / seconds, sorted(refusals)

        seconds = 20 if STRESS else 3
        unloaded, _ = run(None, seconds)
        before = fleet.resident_bytes(fleet.gateway)
        # Enough to fill the queue, too, where none had ended in time to be counted.
        loaded, refusals = run(max(10 * unloaded, 200), seconds)
        grown = fleet.resident_bytes(fleet.gateway) - before
        self.assertTrue(refusals)
        if not SANITIZED:  # a sanitizer keeps what is freed
            self.assertLess(grown, 128 << 20)
        print(f"{unloaded:.0f} requests/s unloaded, {loaded:.0f} at 10 times that; "
              f"{len(refusals)} refused, p50 {1000 * refusals[len(refusals) // 2]:.1f} ms, "
              f"p99 {1000 * refusals[len(refusals) * 99 // 100]:.1f} ms; "
              f"gateway grew by {grown >> 20} MiB")

    def test_a_stopping_gateway_admits_until_it_has_settled(self):
        fleet = self.start(1, "--drain-settle-s=15")
        self.loads()  # connects
        fleet.gateway.send_signal(signal.SIGTERM)
        health = self.client.channel.unary_unary("/grpc.health.v1.Health/Check")
        name = b"spearfish.v1.InferenceService"
        check = b"\n" + bytes([len(name)]) + name
        eventually(lambda: health(check, timeout=10) == b"\x08\x02", "not serving", 15)
        answer = Result(self.client.stream(stream_request(PROMPT, 4, ignore_eos=True)))
        self.assertEqual(len(answer.tokens), 4)
        self.assertEqual(fleet.gateway.wait(timeout=60), 0)
        fleet.gateway.stdout.close()

    def test_gateway_restart_loses_only_what_is_in_flight(self):
        fleet = self.start(1)
        reference = self.reference(fleet)[:1]
        running = self.client.stream(reference[0][0])
        first = next(running)
        stopper = threading.Thread(target=fleet.stop_gateway)
        stopper.start()  # lets the running stream end
        self.assertEqual(whole([first, *running]), reference[0][1])
        stopper.join()
        self.client.close()
        fleet.endpoint = "127.0.0.1:0"  # another test may have the old port by now
        fleet.start_gateway()
        self.client = Client(fleet.endpoint)
        self.assertEqual(whole(self.client.stream(reference[0][0])), reference[0][1])

    def test_a_client_resumes_what_its_gateway_lost(self):
        fleet = self.start(1)
        request, expected = self.reference(fleet)[0]
        got = []
        call = self.client.stream(request)
        for message in call:
            got.append(message)
            if len(Result(got).tokens) >= 11:  # however many came in one message
                break
        fleet.gateway.kill()
        fleet.gateway.wait()
        fleet.gateway.stdout.close()
        self.client.close()
        fleet.endpoint = "127.0.0.1:0"  # another test may have the old port by now
        fleet.start_gateway()
        self.client = Client(fleet.endpoint)
        request.resume.sequences.add(generated_ids=Result(got).tokens)
        rest = [m for m in self.client.stream(request) if m.WhichOneof("event") != "prompt_info"]
        self.assertEqual(whole(got + rest), expected)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
