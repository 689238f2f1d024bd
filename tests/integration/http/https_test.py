"""HTTPS and client certificates on the HTTP port of the real gateway.

usage: https_test.py BIN_FOLDER SOURCE_FOLDER NODE_FOLDER
The protoc output, this folder and those of the serving and the security tests are on PYTHONPATH.
"""

import json
import os
import pathlib
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

from certificates import Authority, replace
from client import Result, stream_request
from fleet import eventually
from http_fleet import PATIENCE_S, Connection, HttpFleet
from secure_client import SecureClient

BIN, SOURCE, NODE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
COMPLETIONS = "/v1/completions"
PROMPT = "In the beginning"
SHORT = {"model": "qwen3-moe-3m", "prompt": PROMPT, "max_tokens": 8, "temperature": 0}
# Runs for seconds. A megabyte: the kernel takes more for a client that reads nothing.
LONG = {"model": "qwen3-moe-3m", "prompt": PROMPT, "max_tokens": 1500, "temperature": 0,
        "ignore_eos": True, "stream": True, "logprobs": 20}
ALICE = "alice-secret-of-this-test-0123456789"


def client_context(ca, identity=None, version=None):
    """Says so when the server closes without TLS's own end, as OpenSSL 3 does."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class HttpsFleet(HttpFleet):
    """Its own gRPC client speaks TLS, too."""

    def __init__(self, ca, identity, *gateway_flags, own=None, **options):
        super().__init__(BIN, MODEL, f"--tls-cert={identity.certificate}",
                         f"--tls-key={identity.key}", *map(str, gateway_flags), **options)
        self.client.close()
        self.client = SecureClient(self.endpoint, ca, own)


class HttpsCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="spearfish-https-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.authority = Authority(cls.folder, "site")
        cls.ca = cls.authority.certificate

    @classmethod
    def new_fleet(cls, *flags, identity=None, **options):
        return HttpsFleet(cls.ca, identity or cls.authority.issue("gateway"), *flags, **options)

    def connect(self, context=None, **options):
        connection = Connection(self.fleet.address, tls=context or client_context(self.ca),
                                **options)
        self.addCleanup(connection.close)
        return connection

    def plain(self):
        connection = Connection(self.fleet.address)
        self.addCleanup(connection.close)
        return connection

    def status_of(self, path="/v1/models", context=None, **headers):
        connection = self.connect(context)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.send(f"GET {path} HTTP/1.1\r\nHost: t\r\n{lines}\r\n".encode())
        return connection.read_answer()[0]

    def check_serves(self, context=None):
        connection = self.connect(context)
        connection.post(COMPLETIONS, SHORT)
        self.assertEqual(connection.read_answer()[0], 200)
        self.assertIsNone(self.fleet.gateway.poll())


class ClientsTest(HttpsCase):
    """One fleet with no flags but those of TLS."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fleet = cls.new_fleet()
        cls.addClassCleanup(cls.fleet.cleanup)

    def test_the_official_client(self):
        fleet = self.fleet
        text = Result(fleet.client.stream(stream_request(PROMPT, 24, temperature=0))).text
        environment = dict(os.environ, SPEARFISH_HTTP=fleet.http, SPEARFISH_EXPECTED=text,
                           NODE_EXTRA_CA_CERTS=str(self.ca))
        run = subprocess.run(["node", "--test", "https.test.mjs"], cwd=NODE, env=environment,
                             timeout=600, check=False)
        self.assertEqual(run.returncode, 0)
        self.assertIn(f"https://{fleet.http}/v1", fleet.read_log())
        fleet.await_idle()  # also what the client dropped

    def test_requests_share_a_connection(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            connection = self.connect(client_context(self.ca, version=version))
            self.assertEqual(connection.socket.selected_alpn_protocol(), "http/1.1")
            for stream in (False, True) * 4:
                connection.post(COMPLETIONS, {**SHORT, "stream": stream})
                status, _, body = connection.read_answer()
                self.assertEqual(status, 200)
                if stream:
                    self.assertEqual(body[-1], "[DONE]")
            # Sent ahead while the first is served, the last in two parts.
            for _ in range(3):
                connection.post(COMPLETIONS, SHORT)
            connection.send(b"GET /hea")
            texts = {connection.read_answer()[2]["choices"][0]["text"] for _ in range(3)}
            self.assertEqual(len(texts), 1)
            connection.send(b"lth HTTP/1.1\r\nHost: t\r\n\r\n")
            self.assertEqual(connection.read_answer()[0], 200)
            connection.post(COMPLETIONS, b"", Expect="100-continue",
                            Content_Length=len(json.dumps(SHORT)))
            self.assertEqual(connection.read_head()[0], 100)
            connection.send(json.dumps(SHORT).encode())
            self.assertEqual(connection.read_answer()[0], 200)

    def test_a_client_that_leaves_frees_its_sequences(self):
        connection = self.connect()
        connection.post(COMPLETIONS, LONG)
        self.assertEqual(connection.read_head()[0], 200)
        self.fleet.await_busy()
        connection.close()
        self.fleet.await_idle()

    # What is no TLS

    def test_plain_http_is_told(self):
        for send in (lambda c: c.get("/health"), lambda c: c.post(COMPLETIONS, SHORT)):
            connection = self.plain()
            send(connection)
            status, _, body = connection.read_answer()
            self.assertEqual(status, 400)
            self.assertIn("https://", body["error"]["message"])
            self.assertTrue(connection.is_closed())

    def test_old_versions_and_other_protocols_are_refused(self):
        with self.assertRaises(ssl.SSLError):
            context = client_context(self.ca)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
            self.connect(context)
        with self.assertRaises(ssl.SSLError):
            context = client_context(self.ca)
            context.set_alpn_protocols(["h2"])
            self.connect(context)
        self.check_serves()


class PortTest(HttpsCase):
    """Each with a gateway of its own."""

    def start(self, *flags, **options):
        self.fleet = self.new_fleet(*flags, **options)
        self.addCleanup(self.fleet.cleanup)
        return self.fleet

    def test_answers_end_as_tls_ends(self):
        self.start()
        connection = self.connect()
        connection.post(COMPLETIONS, {**SHORT, "stream": True}, version="1.0")
        self.assertEqual(connection.read_answer()[2][-1], "[DONE]")  # read up to the end
        connection = self.connect()
        connection.post(COMPLETIONS, SHORT, Connection="close")
        self.assertEqual(connection.read_answer()[0], 200)
        self.assertEqual(connection.file.read(1), b"")
        idle = self.connect()
        idle.get("/health")
        self.assertEqual(idle.read_answer()[0], 200)
        self.assertEqual(self.fleet.stop_gateway(PATIENCE_S), 0)
        self.assertEqual(idle.file.read(1), b"")

    # Who is let in

    def test_clients_show_certificates(self):
        alice, mallory = self.authority.issue("alice"), self.authority.issue("mallory")
        stranger = Authority(self.folder, "other")
        self.start(f"--tls-client-ca={self.ca}", "--tls-allowed-clients=alice", own=alice)
        self.check_serves(client_context(self.ca, alice))
        for path in ("/v1/models", "/health", "/nothing"):
            connection = self.connect(client_context(self.ca, mallory))
            connection.get(path)
            status, _, body = connection.read_answer()
            self.assertEqual((status, body["error"]["type"]), (403, "permission_error"))
        for what, context in {
                "without a certificate": client_context(self.ca),
                "with one of another authority": client_context(self.ca, stranger.issue("alice")),
                "with an expired one": client_context(self.ca, self.authority.issue("alice", -1)),
                "that trusts another authority": client_context(stranger.certificate, alice),
        }.items():
            with self.subTest("a client " + what), self.assertRaises(ssl.SSLError):
                self.status_of(context=context)
        self.assertEqual(self.curl("--cert", alice.certificate, "--key", alice.key), "200")
        self.assertEqual(self.curl(), "000")
        self.check_serves(client_context(self.ca, alice))

    def curl(self, *flags):
        run = subprocess.run(
            ["curl", "--silent", "--cacert", self.ca, *flags, "--output", "/dev/null",
             "--write-out", "%{http_code}", "--max-time", str(PATIENCE_S),
             f"https://{self.fleet.http}/v1/models"],
            capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
        return run.stdout

    def test_limits_count_by_the_certificate(self):
        alice, bob = self.authority.issue("alice"), self.authority.issue("bob")
        self.start(f"--tls-client-ca={self.ca}", "--max-per-client=1", own=alice)
        running = self.connect(client_context(self.ca, alice), receive_buffer=4096)
        running.post(COMPLETIONS, {**LONG, "n": 8})
        self.assertEqual(running.read_head()[0], 200)
        statuses = []
        for client in (alice, bob):
            connection = self.connect(client_context(self.ca, client))
            connection.post(COMPLETIONS, SHORT)
            statuses.append(connection.read_answer()[0])
        self.assertEqual(statuses, [429, 200])

    def test_tokens_on_all_addresses(self):
        tokens = self.folder / "tokens"
        replace(tokens, f"alice {ALICE}\n")
        self.start(f"--auth-tokens-file={tokens}", listen="0.0.0.0:0")
        self.assertEqual(self.status_of(), 401)
        self.assertEqual(self.status_of("/health"), 200)
        self.assertEqual(self.status_of(Authorization=f"Bearer {ALICE}"), 200)
        self.assertNotIn(ALICE, self.fleet.read_log())

    def test_plain_text_for_a_proxy(self):
        fleet = self.start("--http-plain-text")
        connection = self.plain()
        connection.get("/health")
        self.assertEqual(connection.read_answer()[0], 200)
        eventually(lambda: f"http://{fleet.http}/v1" in fleet.read_log(), "its address in the log")

    # Renewal

    def test_renewed_certificates_under_a_stream(self):
        paths = self.folder / "gateway.pem", self.folder / "gateway.key"
        good = self.authority.issue("gateway")
        good.install(*paths)
        self.start(identity=type(good)(*paths))
        stream = self.connect(receive_buffer=4096)
        stream.post(COMPLETIONS, LONG)
        self.assertEqual(stream.read_head()[0], 200)
        stream.read_chunk()
        replace(paths[1], b"garbage")

        def shown(ca=self.ca):
            connection = Connection(self.fleet.address, tls=client_context(ca))
            with connection:
                return connection.socket.getpeercert(binary_form=True)

        def told():
            self.assertEqual(shown(), good.der())
            return "no PEM private key" in self.fleet.read_log()
        eventually(told, "a bad key changes nothing and is told")
        successor = Authority(self.folder, "successor")
        fresh = successor.issue("gateway")
        fresh.install(*paths)

        def renewed():
            try:
                return shown(successor.certificate) == fresh.der()
            except ssl.SSLError:
                return False
        eventually(renewed, "new connections see the new certificate")
        with self.assertRaises(ssl.SSLError):
            shown()
        last = b""
        while (chunk := stream.read_chunk()) is not None:
            last = chunk
        self.assertTrue(last.endswith(b"data: [DONE]\n\n"), last)
        stream.post(COMPLETIONS, SHORT)  # its connection stays what it was
        self.assertEqual(stream.read_answer()[0], 200)

    # What never becomes a connection

    def test_garbage_and_slow_handshakes_harm_nobody(self):
        self.start("--http-header-timeout-s=2")
        rng = random.Random(5)
        stream = self.connect(receive_buffer=4096)
        stream.post(COMPLETIONS, LONG)
        self.assertEqual(stream.read_head()[0], 200)
        hello = self.client_hello()
        silent = [self.plain() for _ in range(100)]
        for number, connection in enumerate(silent):
            # Nothing, a part of a handshake, a whole one without what follows, garbage, and one
            # with a byte changed.
            broken = bytearray(hello)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            connection.send([b"", hello[:rng.randrange(1, len(hello))], hello,
                             rng.randbytes(rng.randrange(1, 3000)), bytes(broken)][number % 5])
        gone = [socket.create_connection(self.fleet.address, timeout=PATIENCE_S)
                for _ in range(100)]
        for connection in gone:
            connection.sendall(hello)
            connection.close()
        self.check_serves()
        for connection in silent:
            self.assert_ends(connection)
        self.check_serves()
        last = b""
        while (chunk := stream.read_chunk()) is not None:
            last = chunk
        self.assertTrue(last.endswith(b"data: [DONE]\n\n"), last)

    def assert_ends(self, connection):
        try:
            while connection.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def client_hello(self):
        out = ssl.MemoryBIO()
        tls = client_context(self.ca).wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        return out.read()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
