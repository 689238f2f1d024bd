"""Clients that send too much, read nothing, go away in silence or do not speak HTTP/2.

usage: transport_test.py BIN_FOLDER SOURCE_FOLDER
The protoc output, this folder and that of the serving tests are on PYTHONPATH.
SPEARFISH_STRESS=1 sends more garbage and pings for as long as routers do.
"""

import os
import pathlib
import random
import socket
import struct
import sys
import time
import unittest

import grpc
import http2_frames as h2
from client import Client, Result, stream_request
from fleet import Fleet, eventually
from http2_frames import Http2Connection
from secure_client import SecureClient
from spearfish.v1 import inference_pb2

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
STRESS = bool(os.environ.get("SPEARFISH_STRESS"))
SANITIZED = os.environ.get("SPEARFISH_SANITIZE", "") not in ("", "OFF")
PROMPT = [17, 4, 250, 90]
PATIENCE_S = 120
LIVELY = ["--keepalive-time-s=1", "--keepalive-timeout-s=1", "--handshake-timeout-s=2"]
STREAM_PATH = "/spearfish.v1.InferenceService/GenerateStream"


class TransportTest(unittest.TestCase):
    def start(self, *gateway_flags):
        fleet = Fleet(BIN, MODEL, 1, ["--scale=absmax"], gateway_flags)
        self.addCleanup(fleet.cleanup)
        self.client = Client(fleet.endpoint)
        self.addCleanup(self.client.close)
        self.fleet = fleet
        return fleet

    def connect(self, **own_settings):
        connection = Http2Connection(self.fleet.endpoint, PATIENCE_S, **own_settings)
        self.addCleanup(connection.close)
        return connection

    def check_serves(self):
        """The same process as ever serves others."""
        answer = Result(self.client.stream(stream_request(PROMPT, 4, ignore_eos=True)))
        self.assertEqual(len(answer.tokens), 4)
        self.assertIsNone(self.fleet.gateway.poll())

    def refusal(self, client, request):
        with self.assertRaises(grpc.RpcError) as refused:
            list(client.stream(request))
        return refused.exception.code()

    # Limits

    def test_large_requests_are_refused(self):
        fleet = self.start("--max-message-bytes=64KiB", "--max-metadata-bytes=4KiB",
                           "--max-streams-per-connection=7")
        large = stream_request([100000] * 40000, 4)
        self.assertEqual(self.refusal(self.client, large), grpc.StatusCode.RESOURCE_EXHAUSTED)
        chatty = SecureClient(fleet.endpoint, metadata=[("x-padding", "p" * 6000)])
        self.addCleanup(chatty.close)
        self.assertEqual(self.refusal(chatty, stream_request(PROMPT, 4)),
                         grpc.StatusCode.RESOURCE_EXHAUSTED)
        # A client that does not care what the server announces.
        connection = self.connect()
        announced = {}
        connection.call(1, STREAM_PATH, stream_request(PROMPT, 4).SerializeToString(),
                        **{"x-padding": "p" * 100000})
        for kind, flags, stream, payload in connection.frames():
            if kind == h2.SETTINGS and not flags & h2.ACK:
                announced.update(struct.iter_unpack(">HI", payload))
            if stream == 1 or kind == h2.GOAWAY:
                self.assertNotEqual(kind, h2.DATA)
                break
        self.assertEqual(announced[h2.MAX_CONCURRENT_STREAMS], 7)
        self.assertEqual(announced[h2.MAX_HEADER_LIST_SIZE], 4096)
        self.check_serves()

    def test_compressed_messages_are_not_inflated(self):
        self.start()
        before = self.fleet.resident_bytes(self.fleet.gateway)
        channel = grpc.insecure_channel(
            self.fleet.endpoint, compression=grpc.Compression.Gzip,
            options=[("grpc.max_send_message_length", -1)])
        self.addCleanup(channel.close)
        tokenize = channel.unary_unary(
            "/spearfish.v1.InferenceService/Tokenize",
            request_serializer=inference_pb2.TokenizeRequest.SerializeToString)
        with self.assertRaises(grpc.RpcError) as refused:
            tokenize(inference_pb2.TokenizeRequest(text="a" * (256 << 20)), timeout=PATIENCE_S)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        if not SANITIZED:
            self.assertLess(self.fleet.resident_bytes(self.fleet.gateway) - before, 32 << 20)
        self.check_serves()

    def test_old_connections_end_and_their_streams_do_not(self):
        self.start("--max-connection-age-s=1", "--max-connection-age-grace-s=100")
        slow = self.client.stream(stream_request(PROMPT, 1000, ignore_eos=True, logprobs=20))
        first = next(slow)
        connection = self.connect()
        kinds = []
        for one in connection.frames():
            connection.acknowledge(one)
            kinds.append(one[0])
        self.assertIn(h2.GOAWAY, kinds)
        self.check_serves()
        self.assertEqual(len(Result([first, *slow]).tokens), 1000)

    # Peers that are not there

    def test_half_open_connections_are_reaped(self):
        self.start(*LIVELY)
        idle, calling, silent = self.connect(), self.connect(), socket.create_connection(
            self.fleet.endpoint.rsplit(":", 1), timeout=PATIENCE_S)
        self.addCleanup(silent.close)
        calling.call(1, STREAM_PATH,
                     stream_request(PROMPT, None, ignore_eos=True).SerializeToString())
        for what, connection in {"idle": idle, "with a call": calling}.items():
            with self.subTest(what):  # it takes what comes, and answers no ping
                kinds = [one[0] for one in connection.frames()]
                self.assertIn(h2.PING, kinds)
        with self.subTest("without a word"):
            while True:
                try:
                    if not silent.recv(4096):
                        break
                except ConnectionResetError:
                    break

        def nothing_runs():
            loads = self.client.control("GetLoads").workers
            return not any(load.in_flight or load.running_sequences for load in loads)
        eventually(nothing_runs, "the call of the client that is gone has ended")
        self.check_serves()

    def test_a_connection_that_answers_pings_stays(self):
        self.start("--keepalive-time-s=1", "--keepalive-timeout-s=60")
        connection = self.connect()
        pings = 0
        while pings < 5:  # more than gRPC sends by itself without data
            one = connection.read()
            self.assertIsNotNone(one, f"closed after {pings} pings")
            connection.acknowledge(one)
            pings += one[0] == h2.PING and not one[1] & h2.ACK

    def test_frequent_pings_are_sent_away(self):
        self.start()
        connection = self.connect()
        # At once: the gateway closes after the first few.
        connection.send(10 * h2.frame(h2.PING, 0, 0, b"12345678"))
        ends = [payload for kind, _, _, payload in connection.frames() if kind == h2.GOAWAY]
        self.assertIn(h2.ENHANCE_YOUR_CALM, [struct.unpack(">I", end[4:8])[0] for end in ends])
        self.check_serves()

    @unittest.skipUnless(STRESS, "takes minutes")
    def test_pings_every_ten_seconds_are_welcome(self):
        self.start()
        connection = self.connect()
        answered = 0
        for _ in range(8):
            connection.send(h2.frame(h2.PING, 0, 0, b"12345678"))
            end = time.monotonic() + 10
            while time.monotonic() < end:
                connection.socket.settimeout(max(0.01, end - time.monotonic()))
                try:
                    one = connection.read()
                except TimeoutError:
                    continue
                self.assertIsNotNone(one)
                self.assertNotEqual(one[0], h2.GOAWAY)
                connection.acknowledge(one)
                answered += one[0] == h2.PING and bool(one[1] & h2.ACK)
        self.assertEqual(answered, 8)

    # Slow and mad clients

    def test_clients_that_read_nothing_hold_nobody_up(self):
        self.start("--max-in-flight=1000")
        self.check_serves()
        before = self.fleet.resident_bytes(self.fleet.gateway)
        request = stream_request(PROMPT, 3000, ignore_eos=True, temperature=0,
                                 logprobs=20).SerializeToString()
        # Half do not let the server send, half let it and leave everything in the socket.
        for window in [0] * 3 + [(1 << 31) - 1] * 3:
            connection = self.connect(initial_window_size=window)
            if window:
                connection.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
            for stream in range(1, 11, 2):
                connection.call(stream, STREAM_PATH, request)
        eventually(lambda: self.client.control("GetLoads").workers[0].in_flight >= 15,
                   "those without a window wait")
        for _ in range(5):
            self.check_serves()
        # Every stream would fill about a megabyte.
        grown = self.fleet.resident_bytes(self.fleet.gateway) - before
        print(f"30 streams that nobody reads: gateway grew by {grown / 2**20:.1f} MiB")
        if not SANITIZED:  # a sanitizer keeps what is freed
            self.assertLess(grown, 12 << 20)

    def send_and_forget(self, data):
        with socket.create_connection(self.fleet.endpoint.rsplit(":", 1), timeout=10) as raw:
            try:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass
            except (ConnectionError, TimeoutError):
                pass

    def test_garbage_harms_nobody(self):
        self.start("--handshake-timeout-s=2")
        rng = random.Random(5)
        request = stream_request(PROMPT, 4, ignore_eos=True).SerializeToString()
        running = self.client.stream(
            stream_request(PROMPT, 2000, ignore_eos=True, logprobs=20), timeout=600)
        first = next(running)
        for number in range(3000 if STRESS else 60):
            kind = number % 4
            if kind == 0:  # no HTTP/2 at all
                self.send_and_forget(rng.randbytes(rng.randrange(1, 5000)))
            elif kind == 1:  # frames of any kind with anything in them
                self.send_and_forget(h2.PREFACE + h2.settings() + b"".join(
                    h2.frame(rng.randrange(12), rng.randrange(256), rng.randrange(6),
                             rng.randbytes(rng.randrange(100))) for _ in range(20)))
            elif kind == 2:  # a frame that promises more than comes, or more than may
                self.send_and_forget(h2.PREFACE + h2.settings() + rng.choice(
                    [b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", b"\x00\x40", rng.randbytes(9)]))
            else:  # a good request with a few bytes changed
                good = bytearray(self.bytes_of_a_request(request))
                for _ in range(rng.randrange(1, 6)):
                    good[rng.randrange(len(h2.PREFACE), len(good))] = rng.randrange(256)
                self.send_and_forget(bytes(good))
        self.check_serves()
        self.assertEqual(len(Result([first, *running]).tokens), 2000)

    @staticmethod
    def bytes_of_a_request(request):
        recorder = Http2Connection.__new__(Http2Connection)
        sent = [h2.PREFACE + h2.settings()]
        recorder.send = sent.append
        recorder.call(1, STREAM_PATH, request)
        return b"".join(sent)

    def test_many_connections_that_only_open_are_let_go(self):
        self.start("--handshake-timeout-s=2")  # no pings: an idle client answers them late
        opened = [socket.create_connection(self.fleet.endpoint.rsplit(":", 1), timeout=PATIENCE_S)
                  for _ in range(1000 if STRESS else 100)]
        self.check_serves()
        for connection in opened:
            with connection:
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        self.check_serves()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
