"""HTTP as it comes: broken, slow, many at once, gone in the middle; and the gateway's own end.

usage: raw_test.py BIN_FOLDER SOURCE_FOLDER
"""

import asyncio
import json
import pathlib
import signal
import sys
import unittest

from http_fleet import PATIENCE_S, Connection, HttpFleet
from fleet import eventually

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
ENDLESS = {"model": "qwen3-moe-3m", "prompt": "In the beginning", "max_tokens": 4000,
           "temperature": 1, "ignore_eos": True}
SHORT = {"model": "qwen3-moe-3m", "prompt": "In the beginning", "max_tokens": 12, "temperature": 0}
NUM_STREAMS = 200


def streamed(request, **more):
    return {**request, "stream": True, **more}


class RawTest(unittest.TestCase):
    """One fleet whose limits are low enough to be reached."""

    @classmethod
    def setUpClass(cls):
        cls.fleet = HttpFleet(BIN, MODEL, "--http-header-timeout-s=5", "--http-body-timeout-s=5",
                              "--http-write-timeout-s=2", "--http-max-body=64KiB")
        cls.addClassCleanup(cls.fleet.cleanup)

    def connect(self, **options):
        connection = Connection(self.fleet.address, **options)
        self.addCleanup(connection.close)
        return connection

    def ask(self, path, body, **headers):
        connection = self.connect()
        connection.post(path, body, **headers)
        return connection.read_answer()

    def assert_error(self, answer, status, text=""):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(set(answer[2]["error"]), {"message", "type", "param", "code"})
        self.assertIn(text, answer[2]["error"]["message"])

    # What is refused

    def test_bodies_that_are_no_request(self):
        for body in (b"", b"{", b"[]", b"{\"model\": \"\xff\"}", b"[" * 10000, b"nul"):
            with self.subTest(body=body[:20]):
                self.assert_error(self.ask(CHAT, body), 400)

    def test_unknown_paths_and_methods(self):
        connection = self.connect()
        connection.get("/v2/nothing")
        self.assert_error(connection.read_answer(), 404, "/v1/models")
        connection.get(CHAT)  # the same connection: nothing was in the way
        status, headers, _ = answer = connection.read_answer()
        self.assert_error(answer, 405)
        self.assertEqual((status, headers["allow"]), (405, "POST"))
        connection.get("/health", method="DELETE")
        self.assert_error(connection.read_answer(), 405)

    def test_other_content_types(self):
        self.assert_error(self.ask(CHAT, b"{}", Content_Type="text/plain"), 415)

    def test_bodies_and_headers_that_are_too_large(self):
        self.assert_error(self.ask(CHAT, b"x" * (65 << 10)), 413, "65536")
        connection = self.connect()
        connection.send(b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: "
                        b"application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            connection.send(b"800\r\n" + b"x" * 2048 + b"\r\n")
        self.assert_error(connection.read_answer(), 413)
        self.assertTrue(connection.is_closed())
        connection = self.connect()
        connection.send(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * (20 << 10) + b"\r\n\r\n")
        self.assert_error(connection.read_answer(), 431)

    def test_what_is_no_http(self):
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HELO\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
                        b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
            connection = self.connect()
            connection.send(garbage)
            with self.subTest(garbage=garbage[:20]):
                self.assert_error(connection.read_answer(), 400, "malformed")
                self.assertTrue(connection.is_closed())

    def test_slow_headers_and_bodies_are_cut_off(self):
        slow = self.connect()
        slow.send(b"POST /v1/completions HTTP/1.1\r\nHost: t\r\n")
        self.assertTrue(slow.is_closed())
        slow = self.connect()
        slow.send(b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 50\r\n\r\n{")
        self.assertTrue(slow.is_closed())

    # What HTTP allows

    def test_requests_share_a_connection(self):
        connection = self.connect()
        want = self.ask(COMPLETIONS, SHORT)[2]["choices"]
        for stream in (False, True, False):
            connection.post(COMPLETIONS, streamed(SHORT, stream=stream))
            body = connection.read_answer()[2]
            if stream:
                self.assertEqual(body[-1], "[DONE]")
            else:
                self.assertEqual(body["choices"], want)
        # Sent ahead, while the first is served.
        connection.post(COMPLETIONS, SHORT)
        connection.post(COMPLETIONS, SHORT)
        for _ in range(2):
            self.assertEqual(connection.read_answer()[2]["choices"], want)

    def test_waits_to_be_told_to_go_on(self):
        connection = self.connect()
        body = json.dumps(SHORT).encode()
        connection.post(COMPLETIONS, b"", Expect="100-continue", Content_Length=len(body))
        self.assertEqual(connection.read_head()[0], 100)
        connection.send(body)
        self.assertEqual(connection.read_answer()[0], 200)

    def test_http_1_0_gets_its_stream_without_chunks(self):
        connection = self.connect()
        connection.post(COMPLETIONS, streamed(SHORT), version="1.0")
        status, headers, events = connection.read_answer()
        self.assertEqual((status, events[-1]), (200, "[DONE]"))
        self.assertNotIn("transfer-encoding", headers)

    def test_health(self):
        connection = self.connect()
        connection.get("/health")
        self.assertEqual(connection.read_answer()[::2], (200, {"status": "ready"}))

    def test_a_request_id_is_kept_and_unique(self):
        first = self.connect()
        first.post(COMPLETIONS, streamed(ENDLESS), X_Request_Id="mine-1")
        status, headers = first.read_head()
        self.assertEqual((status, headers["x-request-id"]), (200, "mine-1"))
        self.assertIn(b"cmpl-mine-1", first.read_chunk())
        self.assert_error(self.ask(COMPLETIONS, SHORT, X_Request_Id="mine-1"), 409)
        first.close()
        self.fleet.await_idle()

    # Clients that go away, or do not read

    def test_a_client_that_leaves_frees_its_sequences(self):
        for request in (streamed(ENDLESS, n=2), ENDLESS,
                        {**ENDLESS, "prompt": ["In the beginning"] * 3}):
            connection = self.connect()
            connection.post(COMPLETIONS, request)
            self.fleet.await_busy()
            connection.close()
            self.fleet.await_idle()

    def test_a_client_that_does_not_read_is_cut_off(self):
        connection = self.connect(receive_buffer=4096)
        connection.post(COMPLETIONS, streamed(ENDLESS, n=8, logprobs=20))
        self.fleet.await_busy()
        self.fleet.await_idle()
        status, _ = connection.read_head()
        self.assertEqual(status, 200)
        self.assertNotIn(b"[DONE]", self.drained(connection))

    @staticmethod
    def drained(connection):
        data = b""
        try:
            while (block := connection.file.read(1 << 16)):
                data = data[-64:] + block
        except ConnectionResetError:
            pass
        return data[-64:]

    # Many

    def test_two_hundred_streams_at_once(self):
        want = self.ask(COMPLETIONS, SHORT)[2]["choices"][0]["text"]
        body = json.dumps(streamed(SHORT)).encode()
        request = (f"POST {COMPLETIONS} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                   f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body

        async def one():
            reader, writer = await asyncio.open_connection(*self.fleet.address)
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
            return answer.decode()

        async def everybody():
            return await asyncio.gather(*(one() for _ in range(NUM_STREAMS)))

        for answer in asyncio.run(everybody()):
            events = [line[len("data: "):] for line in answer.split("\r\n") for line in
                      line.split("\n") if line.startswith("data: ")]
            self.assertEqual(events[-1], "[DONE]", answer)
            text = "".join(json.loads(e)["choices"][0]["text"] for e in events[:-1])
            self.assertEqual(text, want)
        self.fleet.await_idle()


class LifeTest(unittest.TestCase):
    """Overload, lost workers and shutdown: each with a gateway of its own."""

    def start(self, *flags):
        self.fleet = HttpFleet(BIN, MODEL, *flags)
        self.addCleanup(self.fleet.cleanup)
        return self.fleet

    def stream(self, request=None):
        connection = Connection(self.fleet.address, receive_buffer=4096)
        self.addCleanup(connection.close)
        connection.post(COMPLETIONS, streamed(request or ENDLESS))
        self.assertEqual(connection.read_head()[0], 200)
        connection.read_chunk()
        return connection

    def answer(self, path=None, body=None):
        with Connection(self.fleet.address) as connection:
            if body is None:
                connection.get(path)
            else:
                connection.post(COMPLETIONS, body)
            return connection.read_answer()

    def test_overload_says_when_to_come_back(self):
        self.start("--max-in-flight=1", "--max-queue=0")
        first = self.stream({**ENDLESS, "logprobs": 20})  # megabytes beyond the sockets' buffers
        status, headers, body = self.answer(body=SHORT)
        self.assertEqual((status, body["error"]["type"]), (429, "rate_limit_error"))
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        first.close()
        eventually(lambda: self.answer(body=SHORT)[0] == 200, "there is room again")

    def test_no_worker(self):
        fleet = self.start("--retry-patience-ms=100")
        fleet.kill_worker(0)
        eventually(lambda: self.answer("/health")[0] == 503, "not healthy without workers")
        for answer in (self.answer("/v1/models"), self.answer(body=SHORT),
                       self.answer(body=streamed(SHORT))):
            self.assertEqual((answer[0], answer[2]["error"]["code"]), (503, "service_unavailable"))

    def test_a_worker_that_is_lost_in_a_stream_is_an_event(self):
        fleet = self.start("--retry-patience-ms=100")
        connection = self.stream()
        fleet.kill_worker(0)
        last = []
        while (chunk := connection.read_chunk()) is not None:
            last = (last + [chunk])[-2:]
        text = b"".join(last).decode()
        self.assertTrue(text.endswith("data: [DONE]\n\n"), text)
        self.assertIn('"type":"server_error"', text)

    def test_stopping_lets_streams_end(self):
        fleet = self.start("--drain-grace-s=60")
        idle = Connection(fleet.address)
        self.addCleanup(idle.close)
        idle.get("/health")
        self.assertEqual(idle.read_answer()[0], 200)
        connection = self.stream({**ENDLESS, "max_tokens": 1500})
        fleet.gateway.send_signal(signal.SIGTERM)
        self.assertTrue(idle.is_closed())
        tail = b""
        while (chunk := connection.read_chunk()) is not None:
            tail = chunk
        self.assertTrue(tail.endswith(b"data: [DONE]\n\n"), tail)
        self.assertNotIn(b"error", tail)
        self.assertEqual(fleet.gateway.wait(timeout=PATIENCE_S), 0)

    def test_stopping_does_not_wait_longer_than_the_grace(self):
        fleet = self.start("--drain-grace-s=1", "--http-write-timeout-s=3600")
        deaf = self.stream({**ENDLESS, "n": 16, "logprobs": 20})  # reads no further
        slow = Connection(fleet.address)
        self.addCleanup(slow.close)
        slow.send(b"POST /v1/completions HTTP/1.1\r\n")
        self.assertEqual(fleet.stop_gateway(PATIENCE_S), 0)
        deaf.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
