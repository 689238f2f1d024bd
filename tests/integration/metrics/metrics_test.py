"""Figures and logs of a gateway and two workers, before and after requests.

usage: metrics_test.py BIN_FOLDER SOURCE_FOLDER
The protoc output, this folder and serving's are on PYTHONPATH.
"""

import json
import pathlib
import re
import subprocess
import sys
import time
import unittest

import grpc
from client import Client, Result, stream_request, unary_request
from fleet import eventually
from observed_fleet import ObservedFleet
from spearfish.v1 import inference_pb2

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
PROMPT = [17, 4, 250, 90, 33]
SECRET_PROMPT = "Whisper the password swordfish"
SECRET_TOKEN = "Bearer c2VjcmV0"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
NUM_STREAMS, TOKENS = 4, 9


def stream_with_metadata(client, request, metadata):
    call = client.channel.unary_stream(
        "/spearfish.v1.InferenceService/GenerateStream",
        request_serializer=inference_pb2.GenerateStreamRequest.SerializeToString,
        response_deserializer=inference_pb2.GenerateStreamResponse.FromString)
    return Result(call(request, timeout=120, metadata=metadata))


class Difference:
    """What was counted between two scrapes, over one or several processes."""

    def __init__(self, before, after):
        self.before, self.after = before, after

    def of(self, name, *labels):
        return (sum(scrape.total(name, *labels) for scrape in self.after)
                - sum(scrape.total(name, *labels) for scrape in self.before))


class MetricsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = ObservedFleet(BIN, MODEL, 2)
        cls.client = Client(cls.fleet.endpoint)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.fleet.cleanup()

    def run_requests(self):
        """NUM_STREAMS streams, one of two sequences, one unary, one refused by a worker."""
        for seed in range(NUM_STREAMS):
            result = Result(self.client.stream(stream_request(PROMPT, TOKENS, seed=seed,
                                                              ignore_eos=True)))
            self.assertEqual(len(result.tokens), TOKENS)
        Result(self.client.stream(stream_request(PROMPT, TOKENS, num_sequences=2,
                                                 ignore_eos=True)))
        self.client.generate(unary_request(PROMPT, TOKENS, ignore_eos=True))
        with self.assertRaises(grpc.RpcError):
            list(self.client.stream(stream_request(PROMPT, 4, temperature=-1)))

    def test_counts_are_exact(self):
        self.await_idle()
        gateway, workers = [self.fleet.scrape_gateway()], self.fleet.scrape_workers()
        begin = time.monotonic()
        self.run_requests()
        took = time.monotonic() - begin
        self.await_idle()
        self.check_gateway(Difference(gateway, [self.fleet.scrape_gateway()]), took)
        self.check_workers(Difference(workers, self.fleet.scrape_workers()), took)

    def await_idle(self):
        """The engine publishes its counts after a step: its client may be faster."""
        eventually(lambda: sum(worker.total("spearfish_sequences_running")
                               for worker in self.fleet.scrape_workers()) == 0, "workers idle")
        eventually(lambda: self.fleet.scrape_gateway().total(
            "spearfish_gateway_streams_open") == 0, "all streams closed at the gateway")

    def check_gateway(self, counted, took):
        requests, streams = "spearfish_gateway_requests_total", 'method="GenerateStream"'
        self.assertEqual(counted.of(requests, streams, 'code="OK"'), NUM_STREAMS + 1)
        self.assertEqual(counted.of(requests, streams, 'code="INVALID_ARGUMENT"'), 1)
        self.assertEqual(counted.of(requests, 'method="Generate"', 'code="OK"'), 1)
        self.assertEqual(counted.of("spearfish_gateway_prompt_tokens_total"),
                         (NUM_STREAMS + 2) * len(PROMPT))
        self.assertEqual(counted.of("spearfish_gateway_generated_tokens_total"),
                         (NUM_STREAMS + 3) * TOKENS)
        self.assertEqual(counted.of("spearfish_gateway_sequences_finished_total",
                                    'reason="length"'), NUM_STREAMS + 3)
        self.assertEqual(counted.of("spearfish_gateway_attempts_total"), NUM_STREAMS + 3)
        self.assertEqual(counted.of("spearfish_gateway_attempts_lost_total"), 0)
        counts = {"queue": NUM_STREAMS + 3, "time_to_first_token": NUM_STREAMS + 1,
                  "request": NUM_STREAMS + 2, "inter_token": (NUM_STREAMS + 2) * (TOKENS - 1)}
        for name, count in counts.items():
            family = f"spearfish_gateway_{name}_seconds"
            self.assertEqual(counted.of(family + "_count"), count, name)
            self.assertEqual(counted.of(family + "_bucket", 'le="+Inf"'), count, name)
        # They ran one after the other.
        self.assertLessEqual(counted.of("spearfish_gateway_request_seconds_sum"), took)
        self.assertGreater(counted.of("spearfish_gateway_time_to_first_token_seconds_sum"), 0)
        self.assertLess(counted.of("spearfish_gateway_time_to_first_token_seconds_sum"),
                        counted.of("spearfish_gateway_request_seconds_sum"))

    def check_workers(self, counted, took):
        sequences = NUM_STREAMS + 3
        self.assertEqual(counted.of("spearfish_generated_tokens_total"), sequences * TOKENS)
        self.assertEqual(counted.of("spearfish_prompt_tokens_total"),
                         (NUM_STREAMS + 2) * len(PROMPT))
        self.assertEqual(counted.of("spearfish_sequences_finished_total", 'reason="length"'),
                         sequences)
        for name in ("queue", "prefill", "time_to_first_token", "decode", "sequence"):
            self.assertEqual(counted.of(f"spearfish_{name}_seconds_count"), sequences, name)
        self.assertEqual(counted.of("spearfish_inter_token_seconds_count"),
                         sequences * (TOKENS - 1))
        self.assertEqual(counted.of("spearfish_step_seconds_count"),
                         counted.of("spearfish_steps_total"))
        # The parts are the whole.
        total = {name: counted.of(f"spearfish_{name}_seconds_sum") for name in (
            "queue", "prefill", "decode", "sequence", "time_to_first_token", "inter_token")}
        self.assertAlmostEqual(total["queue"] + total["prefill"] + total["decode"],
                               total["sequence"], places=4)
        self.assertAlmostEqual(total["queue"] + total["prefill"], total["time_to_first_token"],
                               places=4)
        self.assertAlmostEqual(total["inter_token"], total["decode"], places=4)
        self.assertLess(counted.of("spearfish_step_seconds_sum"), took)
        # Every expert is in a slot of this small model.
        self.assertGreater(counted.of("spearfish_expert_hits_total"), 0)
        self.assertEqual(counted.of("spearfish_expert_cpu_bytes_total"), 0)
        self.check_vllm(counted)

    def check_vllm(self, counted):
        pairs = {"vllm:generation_tokens_total": "spearfish_generated_tokens_total",
                 "vllm:prompt_tokens_total": "spearfish_prompt_tokens_total",
                 "vllm:request_success_total": "spearfish_sequences_finished_total",
                 "vllm:time_to_first_token_seconds": "spearfish_time_to_first_token_seconds",
                 "vllm:inter_token_latency_seconds": "spearfish_inter_token_seconds",
                 "vllm:request_queue_time_seconds": "spearfish_queue_seconds",
                 "vllm:request_prefill_time_seconds": "spearfish_prefill_seconds",
                 "vllm:request_decode_time_seconds": "spearfish_decode_seconds",
                 "vllm:e2e_request_latency_seconds": "spearfish_sequence_seconds"}
        for theirs, ours in pairs.items():
            for suffix in ("_sum", "_count") if theirs.endswith("_seconds") else ("",):
                self.assertGreaterEqual(counted.of(theirs + suffix), 0)
                self.assertAlmostEqual(counted.of(theirs + suffix), counted.of(ours + suffix),
                                       places=6, msg=theirs)
        for scrape in counted.after:
            self.assertEqual(scrape.total("vllm:kv_cache_usage_perc"), 0)
            self.assertEqual(scrape.total("vllm:num_requests_running",
                                          'model_name="qwen3-moe-3m"'), 0)
            info = [s for s in scrape.values if s.startswith("vllm:cache_config_info{")]
            self.assertRegex(info[0], r'block_size="\d+",num_gpu_blocks="[1-9]\d*"')

    def test_buckets_are_cumulative_and_types_declared(self):
        self.run_requests()
        for scrape in [self.fleet.scrape_gateway(), *self.fleet.scrape_workers()]:
            histograms = {name for name, kind in scrape.types.items() if kind == "histogram"}
            self.assertGreaterEqual(len(histograms), 4)
            for name in histograms:
                buckets = [value for series, value in scrape.values.items()
                           if series.startswith(name + "_bucket{")]
                self.assertEqual(buckets, sorted(buckets), name)
                self.assertEqual(buckets[-1], scrape.total(name + "_count"), name)
            for series in scrape.values:
                base = re.sub(r"_(bucket|sum|count)$", "", series.split("{")[0])
                self.assertTrue(base in scrape.types or series.split("{")[0] in scrape.types,
                                series)

    def test_logs_have_ids_and_traces_and_no_secrets(self):
        request = stream_request(SECRET_PROMPT, 5, temperature=0, ignore_eos=True,
                                 request_id="traced-1")
        parent = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
        result = stream_with_metadata(self.client, request, [
            ("traceparent", parent), ("authorization", SECRET_TOKEN)])
        self.assertEqual(len(result.tokens), 5)
        for process in ("gateway", "worker cpu"):
            eventually(lambda p=process: self.fleet.lines(process=p, request_id="traced-1"),
                       "the request in the log of " + process)
            line, = self.fleet.lines(process=process, request_id="traced-1")
            self.assertEqual(line["level"], "info")
            self.assertEqual(line["trace_id"], TRACE_ID)
            self.assertEqual(line["method"], "GenerateStream")
            self.assertEqual(line["status"], "OK")
            self.assertEqual(line["generated_tokens"], 5)
            self.assertEqual(line["prompt_tokens"], result.info.num_prompt_tokens)
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertLessEqual(0, line["queue_ms"])
            self.assertLess(line["queue_ms"], line["ttft_ms"])
            self.assertLess(line["ttft_ms"], line["total_ms"])
        gateway, = self.fleet.lines(process="gateway", request_id="traced-1")
        self.assertEqual(gateway["worker"], result.info.routed_worker)
        self.assertEqual((gateway["attempts"], gateway["resumptions"]), (1, 0))
        log = self.fleet.read_log()
        for secret in ("swordfish", SECRET_TOKEN, "c2VjcmV0"):
            self.assertNotIn(secret, log)

    def test_bench_measures_both_loops(self):
        common = [str(BIN / "spearfish"), "bench", f"--endpoint={self.fleet.endpoint}", "--json",
                  "--requests=12", "--max-tokens=6", "--prompt-tokens=8", "--seed=3"]
        for loop in (["--concurrency=4"], ["--rate=200"]):
            run = subprocess.run([*common, *loop, "--ttft-slo-ms=100000"], capture_output=True,
                                 text=True, timeout=300, check=False)
            self.assertEqual(run.returncode, 0, run.stderr)
            report = json.loads(run.stdout)
            self.assertEqual((report["ok"], report["good"], report["errors"]), (12, 12, {}))
            self.assertEqual(report["generated_tokens"], 72)
            self.assertEqual(report["prompt_tokens"], 96)
            for times in (report["ttft_ms"], report["itl_ms"], report["e2e_ms"]):
                self.assertLess(0, times["p50"])
                self.assertLessEqual(times["p50"], times["p99"])
        table = subprocess.run([*common[:3], "--requests=2", "--max-tokens=2", "--model=another"],
                               capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(table.returncode, 1)
        self.assertRegex(table.stdout, r"0 of 2 requests ended well[\s\S]*NOT_FOUND +2")


class LostWorkerTest(unittest.TestCase):
    def test_a_lost_worker_shows(self):
        fleet = ObservedFleet(BIN, MODEL, 2, ["--retry-patience-ms=60000"])
        self.addCleanup(fleet.cleanup)
        client = Client(fleet.endpoint)
        self.addCleanup(client.close)
        call = client.stream(stream_request(PROMPT, 2000, ignore_eos=True, request_id="resumed-1"))
        routed = next(call).prompt_info.routed_worker
        begun = len(next(call).delta.token_ids)
        fleet.kill_worker(fleet.addresses.index(routed))
        self.assertEqual(begun + sum(len(message.delta.token_ids) for message in call), 2000)
        line, = fleet.request_lines("gateway", 1)
        self.assertEqual(line["status"], "OK")
        self.assertEqual(line["generated_tokens"], 2000)
        self.assertEqual(line["resumptions"], 1)
        self.assertNotEqual(line["worker"], routed)
        shown = fleet.scrape_gateway()
        self.assertEqual(shown.total("spearfish_gateway_resumptions_total"), 1)
        self.assertGreaterEqual(shown.total("spearfish_gateway_attempts_lost_total"), 1)
        self.assertEqual(shown.total("spearfish_gateway_workers_known"), 2)
        self.assertEqual(shown.total("spearfish_gateway_worker_ready", f'worker="{routed}"'), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
