"""VllmEngine as routers see it, of the gateway and of a worker alike.

usage: vllm_test.py BIN_FOLDER SOURCE_FOLDER
This folder, tests/integration/serving and its protoc output are on PYTHONPATH.
"""

import json
import pathlib
import signal
import struct
import sys
import unittest

import grpc
from client import Client, Result, stream_request
from engine_client import EngineClient, generate_request, outputs, wire
from fleet import eventually
from launcher import Launcher
from protobuf_bytes import block, decode, fixed32, fixed64, number, packed, varints
from reflection import Reflection
from wire_table import PACKAGE, SERVICE

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
GOLDEN = json.loads((SOURCE / "tests/data/golden/qwen3-moe-3m.json").read_text("utf-8"))
PROMPT = GOLDEN["bf16_experts"][0]["ids"]
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class EngineTests:
    """Run by a subclass for one address."""

    @classmethod
    def setUpClass(cls):
        cls.up = Launcher(BIN, MODEL)
        cls.addClassCleanup(cls.up.cleanup)
        cls.address = cls.pick_address()
        cls.engine = EngineClient(cls.address)
        cls.addClassCleanup(cls.engine.close)
        cls.reference = Client(cls.address)
        cls.addClassCleanup(cls.reference.close)

    def spearfish(self, prompt, max_tokens, **options):
        """The same of spearfish.v1."""
        return list(self.reference.stream(stream_request(prompt, max_tokens, **options)))

    def generate(self, *arguments, **options):
        return outputs(self.engine.generate(generate_request(*arguments, **options)))

    def assert_refused(self, text, request, code=INVALID):
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.engine.generate(request))
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertIn(text, caught.exception.details())

    def assert_idle_again(self):
        eventually(lambda: self.engine.ask("GetLoads").loads[0].num_total_reqs == 0, "idle")

    # Answers

    def test_streams_deltas_and_one_complete(self):
        # So many that they can't all wait while the first message leaves.
        want = Result(self.spearfish(PROMPT, 300, temperature=0, ignore_eos=True))
        got = self.generate(PROMPT, 300, temperature=0, ignore_eos=True)
        self.assertEqual(list(got), [0])
        self.assertEqual(got[0].tokens, want.tokens)
        self.assertGreater(len(got[0].chunks), 1)
        for part in (*got[0].chunks, got[0].complete):
            self.assertEqual(part.prompt_tokens, len(PROMPT))
        self.assertEqual(got[0].complete.output_ids, got[0].chunks[-1].token_ids)
        self.assertEqual(got[0].complete.finish_reason, "length")
        self.assertIsNone(got[0].complete.WhichOneof("matched_stop"))

    def test_answers_whole_without_stream(self):
        responses = list(self.engine.generate(
            generate_request(PROMPT, 16, stream=False, temperature=0)))
        self.assertEqual([r.WhichOneof("response") for r in responses], ["complete"])
        complete = responses[0].complete
        self.assertEqual(list(complete.output_ids),
                         Result(self.spearfish(PROMPT, 16, temperature=0)).tokens)
        self.assertEqual(complete.completion_tokens, 16)
        self.assertEqual(complete.prompt_tokens, len(PROMPT))

    def test_several_sequences(self):
        want = {}
        for message in self.spearfish(PROMPT, 12, temperature=0.8, seed=5, num_sequences=3):
            if message.HasField("delta"):
                want.setdefault(message.delta.index, []).extend(message.delta.token_ids)
        for stream in (True, False):
            got = self.generate(PROMPT, 12, stream=stream, temperature=0.8, seed=5, n=3)
            self.assertEqual({index: output.tokens for index, output in got.items()}, want)
            self.assertTrue(all(output.complete is not None for output in got.values()))

    def test_zero_means_the_default(self):
        want = Result(self.spearfish(PROMPT, 8))
        self.assertEqual(self.generate(PROMPT, 8, top_p=0, top_k=0, repetition_penalty=0,
                                       n=0)[0].tokens, want.tokens)

    def test_sampling_parameters_reach_the_model(self):
        fixed = self.generate(PROMPT, 4, temperature=1, logit_bias={7: 100.0}, seed=1)
        self.assertEqual(fixed[0].tokens, [7] * 4)
        sampled = dict(temperature=1.2, seed=9, top_p=0.7, top_k=30, frequency_penalty=0.5,
                       presence_penalty=0.5, repetition_penalty=1.1, min_p=0.01)
        want = Result(self.spearfish(PROMPT, 12, **sampled))
        self.assertEqual(self.generate(PROMPT, 12, **sampled)[0].tokens, want.tokens)

    def test_log_probabilities(self):
        messages = self.spearfish(PROMPT, 6, temperature=0, logprobs=2, prompt_logprobs=2)
        want = Result(messages)
        for stream in (True, False):
            got = self.generate(PROMPT, 6, stream=stream, temperature=0, logprobs=2,
                                prompt_logprobs=2)[0]
            self.assertEqual(got.logprobs, want.logprobs)
            first = got.chunks[0] if stream else got.complete
            self.assertEqual([len(top.values) for top in first.output_logprobs.top_logprobs],
                             [2] * len(first.output_logprobs.token_ids))
            scores = first.input_logprobs
            self.assertEqual(list(scores.token_ids), PROMPT)
            self.assertFalse(scores.token_logprobs[0].HasField("value"))
            self.assertEqual([score.value for score in scores.token_logprobs[1:]],
                             [p.chosen.logprob for p in want.info.prompt_logprobs])
            self.assertEqual(len(scores.top_logprobs), len(PROMPT))

    def test_text_prompts(self):
        text = "In the beginning"
        ids = list(self.reference.tokenize(text).token_ids)
        want = self.generate(ids, 8, temperature=0)[0].tokens
        self.assertEqual(self.generate(text, 8, temperature=0)[0].tokens, want)
        scored = self.generate(text, 8, temperature=0, prompt_logprobs=0)[0]
        self.assertEqual(scored.tokens, want)
        self.assertEqual(list(scored.chunks[0].input_logprobs.token_ids), ids)

    def test_truncated_prompts(self):
        text = "In the beginning there was"
        kept = list(self.reference.tokenize(text).token_ids)[-2:]
        want = self.generate(kept, 8, temperature=0)[0]
        for prompt in (text, [1, 2, 3] + kept):
            got = self.generate(prompt, 8, temperature=0, truncate_prompt_tokens=2)[0]
            self.assertEqual(got.tokens, want.tokens)
            self.assertEqual(got.complete.prompt_tokens, 2)

    def test_stops(self):
        free = Result(self.spearfish("In the beginning", 32, temperature=0))
        by_text = self.generate("In the beginning", 32, temperature=0, stop=[free.text[8:14]])[0]
        self.assertEqual(by_text.complete.finish_reason, "stop")
        self.assertEqual(by_text.complete.matched_stop_str, free.text[8:14])
        self.assertLess(len(by_text.tokens), len(free.tokens))
        stop = free.tokens[6]
        by_token = self.generate("In the beginning", 32, temperature=0, stop_token_ids=[stop])[0]
        self.assertEqual(by_token.complete.finish_reason, "stop")
        self.assertEqual(by_token.complete.matched_token_id, stop)
        self.assertEqual(by_token.tokens, free.tokens[:free.tokens.index(stop) + 1])
        late = self.generate("In the beginning", 32, temperature=0, stop_token_ids=[stop],
                             min_tokens=20)[0]
        self.assertGreaterEqual(len(late.tokens), 20)

    # Ends

    def test_abort_is_idempotent(self):
        call = self.engine.generate(generate_request(PROMPT, ignore_eos=True,
                                                     request_id="to-abort"))
        first = next(call)
        request = wire.AbortRequest(request_ids=["to-abort", "never-was"])
        self.engine.ask("Abort", request)
        self.assertEqual(outputs([first, *call])[0].complete.finish_reason, "abort")
        self.engine.ask("Abort", request)
        self.engine.ask("Abort", wire.AbortRequest())

    def test_cancel_frees_the_sequence(self):
        call = self.engine.generate(generate_request(PROMPT, ignore_eos=True))
        next(call)
        call.cancel()
        self.assert_idle_again()

    def test_deadline(self):
        request = generate_request(PROMPT, ignore_eos=True)
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.engine.generate(request, timeout=0.001))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assert_idle_again()

    # Refusals

    def test_refuses_what_is_not_supported_by_name(self):
        choice = generate_request(PROMPT)
        choice.sampling_params.choice.choices.append("yes")
        self.assert_refused("choice", choice)
        for name, value in (("json_schema", "{}"), ("regex", "a"), ("grammar", "a"),
                            ("structural_tag", "a"), ("json_object", True)):
            self.assert_refused(name, generate_request(PROMPT, **{name: value}))
        rank = generate_request(PROMPT)
        rank.data_parallel_rank = 3
        self.assert_refused("data_parallel_rank", rank)
        rank.data_parallel_rank = 0
        rank.sampling_params.max_tokens = 1
        self.assertEqual(len(outputs(self.engine.generate(rank))[0].tokens), 1)

    def test_refuses_what_is_out_of_range(self):
        self.assert_refused("logit_bias", generate_request(PROMPT, logit_bias={-1: 1.0}))
        self.assert_refused("logprobs", generate_request(PROMPT, logprobs=-1))
        self.assert_refused("truncate", generate_request(PROMPT, truncate_prompt_tokens=0))
        self.assert_refused("max_tokens", generate_request(PROMPT, 0))
        self.assert_refused("top_p", generate_request(PROMPT, top_p=1.5))
        self.assert_refused("input", wire.GenerateRequest())
        self.assert_refused("empty", generate_request([]))

    def test_what_is_not_served_is_unimplemented_at_once(self):
        unimplemented = grpc.StatusCode.UNIMPLEMENTED
        for path in (SERVICE + "Embed", SERVICE + "GetTokenizer", SERVICE + "SubscribeKvEvents",
                     SERVICE + "NoSuchMethod",
                     "/sglang.grpc.scheduler.SglangScheduler/HealthCheck",
                     "/trtllm.TrtllmService/HealthCheck"):
            self.assertEqual(self.engine.probe(path), unimplemented, path)

    # Questions

    def test_health(self):
        self.assertTrue(self.engine.ask("HealthCheck").healthy)

    def test_model_info(self):
        info = self.engine.ask("GetModelInfo")
        want = self.reference.control("GetModelInfo")
        self.assertEqual(info.served_model_name, "qwen3-moe-3m")
        self.assertTrue(info.is_generation)
        self.assertEqual(info.vocab_size, want.vocab_size)
        self.assertEqual(info.max_context_length, want.max_model_len)
        self.assertEqual(info.max_req_input_len, want.max_model_len - 1)
        self.assertEqual(info.eos_token_ids, want.eos_token_ids)
        self.assertEqual(list(info.architectures), [want.architecture])

    def test_server_info(self):
        self.generate(PROMPT, 1)
        info = self.engine.ask("GetServerInfo")
        self.assertEqual(info.server_type, self.server_type)
        self.assertEqual(info.data_parallel_size, 1)
        self.assertFalse(info.is_paused)
        self.assertGreater(info.uptime_seconds, 0)
        self.assertGreater(info.last_receive_timestamp, 1e9)

    def test_loads(self):
        call = self.engine.generate(generate_request(PROMPT, ignore_eos=True))
        next(call)
        eventually(lambda: self.engine.ask("GetLoads").loads[0].num_running_reqs > 0,
                   "a running request")
        answer = self.engine.ask("GetLoads", wire.GetLoadsRequest(dp_rank=0, include=["core"]))
        call.cancel()
        self.assertEqual((len(answer.loads), answer.dp_rank_count), (1, 1))
        self.assertTrue(answer.timestamp and answer.version)
        load = answer.loads[0]
        self.assertTrue(0 <= load.token_usage < 1)
        self.assertGreater(load.max_running_requests, 0)
        self.assertEqual(load.num_total_reqs, load.num_running_reqs + load.num_waiting_reqs)

    # Bytes

    def test_bytes_of_a_request_and_its_answer(self):
        greedy = fixed32(1, struct.pack("<f", 0.0)) + number(8, 4)  # temperature, max_tokens
        encoded = block(2, packed(2, PROMPT)) + block(4, greedy)
        want = self.generate(PROMPT, 4, temperature=0)[0].tokens
        (answer,) = self.engine.generate_raw(encoded)
        ((field, complete),) = decode(answer)
        self.assertEqual(field, 2)
        parts = dict(decode(complete))
        self.assertEqual(varints(parts[1]), want)
        self.assertEqual(parts[2], b"length")
        self.assertEqual((parts[3], parts[4]), (len(PROMPT), 4))
        self.assertEqual(set(parts), {1, 2, 3, 4})  # what is zero or unset is not sent

        streamed = [decode(part) for part in self.engine.generate_raw(encoded + number(5, 1))]
        chunks = [dict(decode(value)) for ((field, value),) in streamed if field == 1]
        self.assertEqual([token for chunk in chunks for token in varints(chunk[1])], want)
        self.assertEqual([chunk[3] for chunk in chunks],
                         [len(varints(chunk[1])) for chunk in chunks])
        self.assertEqual([field for ((field, _),) in streamed][-1], 2)

    def test_unpacked_ids_and_unknown_fields_are_understood(self):
        ids = b"".join(number(2, token) for token in PROMPT)
        greedy = fixed32(1, struct.pack("<f", 0.0)) + number(8, 4)
        unknown = (block(6, b"\x0a\x03abc") + number(7, 1) + fixed64(8, b"12345678")
                   + fixed32(1000, b"1234") + block(536870911, b""))
        encoded = unknown + block(2, ids + unknown) + block(4, greedy + block(28, b"xy")) + unknown
        (answer,) = self.engine.generate_raw(encoded)
        complete = dict(decode(decode(answer)[0][1]))
        self.assertEqual(varints(complete[1]), self.generate(PROMPT, 4, temperature=0)[0].tokens)

    def test_bytes_that_are_no_message_are_refused(self):
        for encoded in (b"\xff", block(2, b"\x12\x7f"), b"\x0a\x05ab"):
            with self.assertRaises(grpc.RpcError) as caught:
                self.engine.generate_raw(encoded)
            # gRPC's own answer; that of its callback API is the second.
            self.assertIn(caught.exception.code(),
                          (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED))
        self.assertEqual(len(self.generate(PROMPT, 2)[0].tokens), 2)  # and nothing broke

    def test_server_describes_the_same_wire(self):
        service = Reflection(self.engine.channel).load(PACKAGE + ".VllmEngine")
        for name, ours in service.file.message_types_by_name.items():
            table = wire.DESCRIPTOR.message_types_by_name.get(name)
            if table is None:
                continue
            self.assertEqual({f.number: self.describe(f) for f in ours.fields},
                             {f.number: self.describe(f) for f in table.fields}, name)
        missing = set(wire.DESCRIPTOR.message_types_by_name) - set(
            service.file.message_types_by_name)
        self.assertEqual(missing, {"EmptyRequest", "ChoiceConstraint"})
        self.assertEqual({m.name: m.server_streaming for m in service.methods
                          if m.server_streaming},
                         {"Generate": True, "GetTokenizer": True, "SubscribeKvEvents": True})

    @staticmethod
    def describe(field):
        oneof = field.containing_oneof.name if field.containing_oneof else None
        return field.name, field.type, field.label, oneof, field.has_presence


class WorkerEngineTest(EngineTests, unittest.TestCase):
    server_type = "spearfish-worker"

    @classmethod
    def pick_address(cls):
        return cls.up.worker_address(0)


class GatewayEngineTest(EngineTests, unittest.TestCase):
    server_type = "spearfish-gateway"

    @classmethod
    def pick_address(cls):
        return cls.up.endpoint


class LifeTest(unittest.TestCase):
    def setUp(self):
        self.up = Launcher(BIN, MODEL, devices="cpu")
        self.addCleanup(self.up.cleanup)
        self.gateway = EngineClient(self.up.endpoint)
        self.addCleanup(self.gateway.close)
        self.worker = EngineClient(self.up.worker_address(0))
        self.addCleanup(self.worker.close)

    def test_draining_is_not_healthy(self):
        control = Client(self.up.worker_address(0))
        self.addCleanup(control.close)
        control.control("Drain")
        self.assertFalse(self.worker.ask("HealthCheck").healthy)
        self.assertTrue(self.worker.ask("GetServerInfo").is_paused)
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.worker.generate(generate_request(PROMPT, 1)))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        eventually(lambda: not self.gateway.ask("HealthCheck").healthy, "gateway not healthy")

    def test_streams_that_run_are_finished_on_sigterm(self):
        length = 400
        call = self.gateway.generate(generate_request(PROMPT, length, ignore_eos=True))
        first = next(call)
        self.up.process.send_signal(signal.SIGTERM)
        output = outputs([first, *call])[0]
        self.assertEqual(output.complete.finish_reason, "length")
        self.assertEqual(len(output.tokens), length)
        self.assertEqual(self.up.stop(), 0, self.up.read_log())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
