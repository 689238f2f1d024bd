"""The whole path: launcher, two workers, gateway, clients in three languages.

usage: serving_test.py BIN_FOLDER SOURCE_FOLDER NODE_FOLDER
The protoc output and this folder are on PYTHONPATH.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

import grpc
from client import Client, Result, stream_request, unary_request
from launcher import Launcher
from reflection import Reflection
from spearfish.v1 import control_pb2, inference_pb2

BIN, SOURCE, NODE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
GOLDEN = json.loads((SOURCE / "tests/data/golden/qwen3-moe-3m.json").read_text("utf-8"))
PROMPT = GOLDEN["bf16_experts"][0]["ids"]
PATIENCE_S = 60


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not come true: " + what)


class ServingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Launcher(BIN, MODEL, extra=["--scale=absmax", "--retry-patience-ms=60000"])
        cls.addClassCleanup(cls.up.cleanup)
        cls.gateway = Client(cls.up.endpoint)
        cls.addClassCleanup(cls.gateway.close)
        cls.workers = [Client(cls.up.worker_address(i)) for i in range(2)]
        for worker in cls.workers:
            cls.addClassCleanup(worker.close)

    def all_idle(self):
        loads = [w.control("GetLoads").workers[0] for w in self.workers]
        return all(l.running_sequences == 0 and l.waiting_sequences == 0 and l.kv_blocks_used == 0
                   for l in loads)

    def assert_status(self, code, text, run):
        with self.assertRaises(grpc.RpcError) as caught:
            run()
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertIn(text, caught.exception.details())

    # Answers

    def test_greedy_tokens_match_the_goldens(self):
        for golden in GOLDEN["int4_absmax_experts"]:
            result = Result(self.gateway.stream(
                stream_request(golden["ids"], len(golden["greedy"]), temperature=0,
                               ignore_eos=True)))
            for got, want, margin in zip(result.tokens, golden["greedy"],
                                         golden["greedy_margins"]):
                if margin < 0.05 and got != want:
                    break
                self.assertEqual(got, want)
            self.assertEqual(result.finish.finish_reason, inference_pb2.FINISH_REASON_LENGTH)
            self.assertEqual(result.finish.usage.prompt_tokens, len(golden["ids"]))
            # The pool holds every expert of this small model.
            self.assertGreater(result.finish.experts.hits, 0)
            self.assertEqual(result.finish.experts.misses, 0)

    def test_same_bits_from_every_worker_and_from_a_batch_of_32(self):
        def ask(client):
            return Result(client.stream(stream_request(PROMPT, 24, temperature=0.8, seed=7,
                                                       logprobs=0, ignore_eos=True)))

        alone = [ask(client) for client in (*self.workers, self.gateway)]
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            together = list(pool.map(ask, [self.workers[0]] * 32 + [self.gateway] * 32))
        for result in alone + together:
            self.assertEqual(result.tokens, alone[0].tokens)
            self.assertEqual(result.logprobs, alone[0].logprobs)

    def test_unary_holds_what_the_stream_holds(self):
        stream = Result(self.gateway.stream(stream_request("In the beginning", 16, temperature=0)))
        whole = self.gateway.generate(unary_request("In the beginning", 16, temperature=0))
        self.assertEqual(list(whole.sequences[0].output.token_ids), stream.tokens)
        self.assertEqual(whole.sequences[0].output.text, stream.text)
        self.assertEqual(whole.sequences[0].finish.usage, stream.finish.usage)
        self.assertTrue(whole.prompt_info.routed_worker.startswith("unix:"))

    def test_tokenizes_and_back(self):
        for golden in GOLDEN["bf16_experts"]:
            if "prompt" not in golden:
                continue
            self.assertEqual(list(self.gateway.tokenize(golden["prompt"]).token_ids),
                             golden["ids"])
            self.assertEqual(self.gateway.detokenize(golden["ids"]).text, golden["prompt"])

    def test_stops_before_a_stop_string(self):
        free = Result(self.gateway.stream(stream_request("In the beginning", 32, temperature=0)))
        stop = free.text[8:14]
        stopped = Result(self.gateway.stream(stream_request("In the beginning", 32, temperature=0,
                                                            stop_strings=[stop])))
        self.assertEqual(stopped.text, free.text[:free.text.index(stop)])
        self.assertEqual(stopped.finish.stop_string, stop)

    # Clients

    def test_client_built_from_reflection_alone(self):
        reflection = Reflection(self.gateway.channel)
        services = reflection.services()
        self.assertIn("spearfish.v1.InferenceService", services)
        self.assertIn("spearfish.v1.ControlService", services)
        self.assertIn("grpc.health.v1.Health", services)
        request_type, call = reflection.call("spearfish.v1.InferenceService", "GenerateStream")
        request = request_type()
        request.token_ids.ids.extend(PROMPT)
        request.stopping.max_tokens = 8
        request.sampling.temperature = 0
        want = Result(self.gateway.stream(stream_request(PROMPT, 8, temperature=0)))
        self.assertEqual(Result(call(request, timeout=60)).tokens, want.tokens)

    def test_node_client(self):
        want = Result(self.gateway.stream(stream_request(PROMPT, 16, temperature=0)))
        run = subprocess.run(
            ["node", "stream.mjs", self.up.endpoint, str(SOURCE / "proto"),
             ",".join(map(str, PROMPT)), "16"],
            cwd=NODE, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        got = json.loads(run.stdout)
        self.assertEqual(got["tokens"], want.tokens)
        self.assertEqual(got["events"][0], "prompt_info")
        self.assertEqual(got["events"][-1], "finish")
        self.assertEqual(got["finish_reason"], "FINISH_REASON_LENGTH")

    def test_command_line_client(self):
        run = subprocess.run(
            [str(BIN / "spearfish"), "generate", "--endpoint", self.up.endpoint, "--prompt",
             "In the beginning", "--max-tokens", "16", "--temperature", "0", "--stats"],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        want = Result(self.gateway.stream(stream_request("In the beginning", 16, temperature=0)))
        self.assertEqual(run.stdout.rstrip("\n"), want.text.rstrip("\n"))
        self.assertRegex(run.stderr, r"[\d.]+ tokens/s")
        status = subprocess.run([str(BIN / "spearfish"), "status", f"--endpoint={self.up.endpoint}"],
                                capture_output=True, text=True, timeout=60, check=True)
        self.assertRegex(status.stdout, r"experts in host memory: .* for 2 workers")

    # Host memory

    def test_experts_are_in_host_memory_once(self):
        stats = self.gateway.control("GetExpertCacheStats").workers
        self.assertEqual(len(stats), 2)
        self.assertEqual(len({s.segment_name for s in stats}), 1)
        for client in self.workers:  # every record has been touched by both
            Result(client.stream(stream_request(PROMPT * 20, 4, temperature=0)))
        stats = self.gateway.control("GetExpertCacheStats").workers
        segment = stats[0].segment_bytes
        self.assertLessEqual(sum(s.mapping_pss_bytes for s in stats), segment * 1.02)
        self.assertGreater(sum(s.mapping_rss_bytes for s in stats), segment * 1.5)
        for s in stats:
            self.assertEqual(s.coverage, 1.0)
            self.assertLess(s.extra_host_bytes, 64 << 10)  # address table and counters
        # One of the two quantised, the other found it done (or waited for it).
        log = self.up.read_log()
        self.assertEqual(sorted(s.populated_here for s in stats), [False, True], log)

    # Ends

    def test_cancel_frees_the_sequence(self):
        call = self.gateway.stream(stream_request(PROMPT, None, temperature=1.0, ignore_eos=True))
        for message in call:
            if message.WhichOneof("event") == "delta":
                break
        call.cancel()
        eventually(self.all_idle, "sequences and blocks freed after a cancel")

    def test_abort_by_id(self):
        call = self.gateway.stream(stream_request(PROMPT, None, temperature=1.0, ignore_eos=True,
                                                  request_id="to-abort"))
        next(call)
        answer = self.gateway.control(
            "Abort", control_pb2.AbortRequest(request_ids=["to-abort", "never-was"]))
        self.assertEqual(list(answer.aborted_request_ids), ["to-abort"])
        self.assertEqual(Result(call).finish.finish_reason, inference_pb2.FINISH_REASON_ABORTED)

    def test_deadline_of_a_millisecond(self):
        self.assert_status(grpc.StatusCode.DEADLINE_EXCEEDED, "", lambda: list(
            self.gateway.stream(stream_request(PROMPT, None, ignore_eos=True), timeout=0.001)))
        eventually(self.all_idle, "sequences freed after a deadline")

    def test_prompt_that_fills_the_whole_length(self):
        length = self.gateway.control("GetModelInfo").max_model_len
        prompt = (PROMPT * length)[:length - 1]
        request = stream_request(prompt, None, temperature=0, ignore_eos=True)
        result = Result(self.gateway.stream(request, timeout=900))  # a sanitizer takes minutes
        self.assertEqual(len(result.tokens), 1)
        self.assertEqual(result.finish.finish_reason, inference_pb2.FINISH_REASON_LENGTH)
        self.assert_status(grpc.StatusCode.INVALID_ARGUMENT, str(length), lambda: list(
            self.gateway.stream(stream_request((prompt * 2)[:length + 1], None))))

    # Bad input

    def test_bad_requests_name_the_field(self):
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        vocab = self.gateway.control("GetModelInfo").vocab_size
        cases = [
            ([], {}, "token_ids is empty"),
            ("", {}, "text is empty"),
            ([vocab], {}, str(vocab)),
            (PROMPT, {"temperature": -1}, "temperature"),
            (PROMPT, {"top_p": 0}, "top_p"),
            (PROMPT, {"stop_strings": ["x" * (1 << 20)]}, "stop_strings"),
        ]
        for prompt, options, text in cases:
            with self.subTest(text=text):
                self.assert_status(invalid, text, lambda p=prompt, o=options: list(
                    self.gateway.stream(stream_request(p, 4, **o))))

    def test_unknown_model_and_method(self):
        request = stream_request(PROMPT, 4)
        request.model = "another"
        self.assert_status(grpc.StatusCode.NOT_FOUND, "another",
                           lambda: list(self.gateway.stream(request)))
        self.assert_status(grpc.StatusCode.UNIMPLEMENTED, "", self.gateway.unknown_method)

    def test_request_id_that_is_running(self):
        worker = self.workers[0]
        call = worker.stream(stream_request(PROMPT, None, ignore_eos=True, request_id="twice"))
        next(call)
        self.assert_status(grpc.StatusCode.ALREADY_EXISTS, "twice", lambda: list(
            worker.stream(stream_request(PROMPT, 4, request_id="twice"))))
        call.cancel()
        eventually(self.all_idle, "idle after the first was cancelled")

    def test_five_thousand_requests_at_once(self):
        calls = [self.gateway.stream(stream_request(PROMPT, 2, temperature=0), timeout=300)
                 for _ in range(5000)]
        finished = refused = 0
        for call in calls:
            try:
                self.assertEqual(len(Result(call).tokens), 2)
                finished += 1
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, error.details())
                refused += 1
        self.assertEqual(finished + refused, 5000)
        self.assertGreater(finished, 100)
        eventually(self.all_idle, "idle after 5,000 requests")

    # Life

    def test_killed_worker_comes_back_without_quantising(self):
        pids = self.up.worker_pids()
        os.kill(pids[1], signal.SIGKILL)
        result = Result(self.gateway.stream(stream_request(PROMPT, 8, temperature=0)))
        self.assertEqual(len(result.tokens), 8)
        eventually(lambda: self.up.worker_pids().get(1, pids[1]) != pids[1], "a new worker 1")
        eventually(lambda: all(w.ready for w in self.gateway.control("GetLoads").workers),
                   "both workers ready")
        stats = self.gateway.control("GetExpertCacheStats").workers
        restarted = [s for s in stats if "worker-1" in s.address]
        self.assertFalse(restarted[0].populated_here)


class LauncherTest(unittest.TestCase):
    def test_bad_checkpoint_is_named_and_ends_the_launcher(self):
        run = subprocess.run([str(BIN / "spearfish"), "up", "--model=/nonexistent",
                              "--listen=127.0.0.1:0"],
                             capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("/nonexistent", run.stderr)

    def test_stops_cleanly_on_sigterm_and_leaves_no_process(self):
        up = Launcher(BIN, MODEL)
        self.addCleanup(up.cleanup)
        pids = list(up.worker_pids().values())
        self.assertEqual(len(pids), 2)
        self.assertEqual(up.stop(), 0, up.read_log())
        for pid in pids:
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())
        self.assertFalse(re.search(r"did not stop", up.read_log()))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
