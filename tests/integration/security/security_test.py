"""TLS, client certificates, bearer tokens and socket modes of the real binaries.

usage: security_test.py BIN_FOLDER SOURCE_FOLDER
The protoc output, this folder and that of the serving tests are on PYTHONPATH.
"""

import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import grpc
from certificates import Authority, replace
from client import Result, stream_request, unary_request
from fleet import Fleet, eventually
from launcher import Launcher
from reflection import Reflection
from secure_client import SecureClient, shown_certificate

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
PROMPT = [17, 4, 250, 90]
ALICE, BOB, CAROL = (f"{name}-secret-of-this-test-0123456789" for name in ("alice", "bob", "carol"))
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


class SecurityTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spearfish-security-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def authority(self, name):
        return Authority(self.folder, name)

    def start(self, worker_flags=(), gateway_flags=(), num_workers=1):
        fleet = Fleet(BIN, MODEL, num_workers, ["--scale=absmax", *map(str, worker_flags)],
                      map(str, gateway_flags))
        self.addCleanup(fleet.cleanup)
        self.addCleanup(self.check_no_secret, fleet)
        return fleet

    def check_no_secret(self, fleet):
        log = fleet.read_log()
        for secret in (ALICE, BOB, CAROL, "PRIVATE KEY"):
            self.assertNotIn(secret, log)

    def client(self, *arguments, **options):
        client = SecureClient(*arguments, **options)
        self.addCleanup(client.close)
        return client

    def run_binary(self, name, *flags):
        return subprocess.run([BIN / name, *map(str, flags)], capture_output=True, text=True,
                              timeout=120, check=False)

    def files(self, name, identity):
        """The identity as files that a test may replace: (certificate, key)."""
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        identity.install(*paths)
        return paths

    def tokens(self, text, mode=0o600):
        path = self.folder / "tokens"
        replace(path, text, mode)
        return path

    # TLS

    def mutual_tls(self):
        """A fleet where everybody shows certificates, with files to renew."""
        self.ca = self.authority("site")
        self.worker_files = self.files("worker", self.ca.issue("worker"))
        self.gateway_files = self.files("gateway", self.ca.issue("gateway"))
        self.worker_clients = self.folder / "worker-clients.pem"
        replace(self.worker_clients, self.ca.certificate.read_bytes())
        return self.start(
            [f"--tls-cert={self.worker_files[0]}", f"--tls-key={self.worker_files[1]}",
             f"--tls-client-ca={self.worker_clients}", "--tls-allowed-clients=gateway"],
            [f"--tls-cert={self.gateway_files[0]}", f"--tls-key={self.gateway_files[1]}",
             f"--tls-client-ca={self.ca.certificate}", f"--worker-tls-ca={self.ca.certificate}",
             f"--worker-tls-cert={self.gateway_files[0]}",
             f"--worker-tls-key={self.gateway_files[1]}", "--worker-tls-server-name=worker"])

    def test_everybody_shows_a_certificate(self):
        fleet = self.mutual_tls()
        ca, alice, other = self.ca.certificate, self.ca.issue("alice"), self.authority("other")
        answer = self.client(fleet.endpoint, ca, alice).generate(
            unary_request(PROMPT, 4, temperature=0, ignore_eos=True))
        self.assertEqual(len(answer.sequences[0].output.token_ids), 4)
        for what, client in {
                "without a certificate": self.client(fleet.endpoint, ca),
                "with one of another authority": self.client(fleet.endpoint, ca,
                                                             other.issue("alice")),
                "that trusts another authority": self.client(fleet.endpoint, other.certificate,
                                                             alice),
                "in plain text": self.client(fleet.endpoint),
                "with an expired certificate": self.client(fleet.endpoint, ca,
                                                           self.ca.issue("alice", days=-1)),
        }.items():
            with self.subTest("a client " + what):
                self.assertEqual(client.code_of(), UNAVAILABLE)
        worker = fleet.addresses[0]
        for what, expected, client in [
                ("the gateway", grpc.StatusCode.OK, self.client(worker, ca,
                                                                self.ca.issue("gateway"))),
                ("another client", grpc.StatusCode.PERMISSION_DENIED,
                 self.client(worker, ca, alice)),
                ("nobody", UNAVAILABLE, self.client(worker, ca))]:
            with self.subTest("at the worker: " + what):
                self.assertEqual(client.code_of(), expected)

    def test_the_command_line_speaks_tls(self):
        fleet = self.mutual_tls()
        alice = self.ca.issue("alice")
        endpoint, ca = f"--endpoint={fleet.endpoint}", f"--tls-ca={self.ca.certificate}"
        own = [f"--tls-cert={alice.certificate}", f"--tls-key={alice.key}"]
        done = self.run_binary("spearfish", "generate", endpoint, ca, *own, "--prompt=In the",
                               "--max-tokens=4", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("finish_reason", done.stdout)
        done = self.run_binary("spearfish", "status", endpoint, ca)
        self.assertEqual(done.returncode, 1)
        done = self.run_binary("spearfish", "status", endpoint, ca, own[0])
        self.assertEqual(done.returncode, 1)
        self.assertIn("give --tls-key", done.stderr)

    def test_renewed_certificates_under_streams(self):
        fleet = self.mutual_tls()
        alice = self.ca.issue("alice")
        client = self.client(fleet.endpoint, self.ca.certificate, alice)
        # More than fits into the connection's windows: they run until they are read.
        request = stream_request(PROMPT, 1500, temperature=0, ignore_eos=True, logprobs=20)
        streams = [client.stream(request, timeout=600) for _ in range(4)]
        first = [next(stream) for stream in streams]
        self.assertEqual(len(first), 4)
        successor = self.authority("successor")
        fresh = successor.issue("gateway")
        both = self.ca.certificate.read_bytes() + successor.certificate.read_bytes()
        replace(self.worker_clients, both)
        fresh.install(*self.gateway_files)
        eventually(lambda: shown_certificate(fleet.endpoint) == fresh.der(),
                   "new connections see the new certificate")
        answers = [Result(stream) for stream in streams]
        self.assertEqual([len(answer.tokens) for answer in answers], [1500] * 4)
        # The worker now trusts the successor alone and is started again: the gateway must come
        # with its new certificate.
        replace(self.worker_clients, successor.certificate.read_bytes())
        fleet.kill_worker(0)
        fleet.start_worker(0)
        renewed = self.client(fleet.endpoint, successor.certificate, alice)

        def served():
            try:
                return Result(renewed.stream(stream_request(PROMPT, 2, ignore_eos=True))).tokens
            except grpc.RpcError:
                return False
        eventually(served, "the gateway is let in with its new certificate")
        self.assertIn("read again", fleet.read_log())

    def test_a_bad_renewal_changes_nothing(self):
        ca = self.authority("site")
        good = ca.issue("gateway")
        certificate, key = self.files("gateway", good)
        fleet = self.start([], [f"--tls-cert={certificate}", f"--tls-key={key}"])
        for bad, said in [(ca.issue("gateway").key.read_bytes(), "does not belong"),
                          (b"garbage", "no PEM private key")]:
            replace(key, bad)

            def told(said=said):
                self.assertEqual(shown_certificate(fleet.endpoint), good.der())
                return said in fleet.read_log()
            eventually(told, "the log says what is wrong")
        fresh = ca.issue("gateway")
        fresh.install(certificate, key)
        eventually(lambda: shown_certificate(fleet.endpoint) == fresh.der(), "renewed after all")

    def test_bad_flags_are_refused_at_the_start(self):
        ca = self.authority("site")
        good, other, expired = ca.issue("a"), ca.issue("b"), ca.issue("c", days=-1)
        tokens = self.tokens(ALICE)
        everybody = self.folder / "everybody"
        replace(everybody, ALICE, 0o644)
        words = self.folder / "words"
        replace(words, f"{ALICE} b c")
        cert, key = f"--tls-cert={good.certificate}", f"--tls-key={good.key}"
        for flags, said in [
                ([cert], "--tls-key"),
                ([cert, f"--tls-key={self.folder}/none"], f"--tls-key: can't read {self.folder}/none"),
                ([cert, f"--tls-key={self.folder}"], "not a regular file"),
                ([cert, f"--tls-key={other.key}"], f"--tls-key: {other.key}: the private key does"),
                ([f"--tls-cert={expired.certificate}", f"--tls-key={expired.key}"],
                 f"--tls-cert: {expired.certificate}: the certificate expired on"),
                ([cert, key, f"--tls-client-ca={good.key}"], "--tls-client-ca: "),
                ([cert, key, "--tls-allowed-clients=x"], "--tls-client-ca"),
                ([f"--auth-tokens-file={everybody}"], "chmod 600"),
                ([f"--auth-tokens-file={words}"], "line 1"),
                (["--listen=0.0.0.0:0", f"--auth-tokens-file={tokens}"], "--insecure-tokens"),
                (["--http-listen=0.0.0.0:0", f"--auth-tokens-file={tokens}"], "--insecure-tokens"),
                (["--http-listen=0.0.0.0:0", "--http-plain-text", cert, key,
                  f"--tls-client-ca={ca.certificate}"], "asks for no client certificate"),
                (["--http-listen=0.0.0.0:0", "--http-plain-text", cert, key,
                  f"--auth-tokens-file={tokens}"], "without --http-plain-text"),
                ([f"--worker-tls-ca={self.folder}/none"], "--worker-tls-ca: can't read"),
                ([f"--worker-tls-cert={good.certificate}"], "--worker-tls-key"),
                (["--max-metadata-bytes=1"], "--max-metadata-bytes"),
                (["--socket-mode=9"], "--socket-mode")]:
            with self.subTest(flags=flags):
                listen = [] if flags[0].startswith("--listen") else ["--listen=127.0.0.1:0"]
                done = self.run_binary("spearfish-gateway", "--workers=127.0.0.1:1", *listen,
                                       *flags)
                self.assertIn(done.returncode, (1, 2), done.stderr)
                self.assertIn(said, done.stderr)
                self.assertNotIn(ALICE, done.stderr)

    # Tokens

    def test_tokens(self):
        path = self.tokens(f"# who may call\nalice {ALICE}\nbob {BOB}\n")
        fleet = self.start([], [f"--auth-tokens-file={path}"])
        self.assertEqual(self.client(fleet.endpoint, token=ALICE).code_of(), grpc.StatusCode.OK)
        anonymous = self.client(fleet.endpoint)
        refusals = set()
        for client in [anonymous, self.client(fleet.endpoint, token=CAROL),
                       self.client(fleet.endpoint, token=ALICE[:-1]),
                       self.client(fleet.endpoint, metadata=[("authorization", "Basic " + ALICE)]),
                       self.client(fleet.endpoint, metadata=[("authorization", ALICE)])]:
            with self.assertRaises(grpc.RpcError) as refused:
                client.control("Drain")
            self.assertEqual(refused.exception.code(), UNAUTHENTICATED)
            refusals.add(refused.exception.details())
        self.assertEqual(len(refusals), 1, refusals)
        with self.assertRaises(grpc.RpcError) as refused:
            anonymous.unknown_method()
        self.assertEqual(refused.exception.code(), UNAUTHENTICATED)
        with self.assertRaises(grpc.RpcError) as refused:
            Reflection(anonymous.channel).services()
        self.assertEqual(refused.exception.code(), UNAUTHENTICATED)
        bob = self.client(fleet.endpoint, token=BOB)
        self.assertIn("spearfish.v1.InferenceService", Reflection(bob.channel).services())
        self.assertTrue(anonymous.health())
        # Nothing drained it meanwhile; a new list of tokens counts within moments.
        self.tokens(f"bob {BOB}\ncarol {CAROL}\n")
        alice = self.client(fleet.endpoint, token=ALICE)
        eventually(lambda: alice.code_of() == UNAUTHENTICATED, "alice's token is withdrawn")
        for token in (BOB, CAROL):
            self.assertEqual(self.client(fleet.endpoint, token=token).code_of(), grpc.StatusCode.OK)
        self.tokens("short\n")
        eventually(lambda: (self.client(fleet.endpoint, token=BOB).code_of()
                            == grpc.StatusCode.OK) and "stays as it was" in fleet.read_log(),
                   "a bad list changes nothing and is told")

    def http_code(self, url, authorization=None):
        request = urllib.request.Request(url, headers=(
            {"Authorization": authorization} if authorization else {}))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def test_tokens_over_http(self):
        path = self.tokens(f"alice {ALICE}\nbob {BOB}\n")
        fleet = self.start([], [f"--auth-tokens-file={path}", "--http-listen=127.0.0.1:0"])
        address = re.compile(r"HTTP at (http://\S+)/v1")  # another thread says "ready"
        eventually(lambda: address.search(fleet.read_log()), "the address in the log")
        base = address.search(fleet.read_log()).group(1)
        self.assertEqual(self.http_code(base + "/health"), 200)
        for refused in (None, ALICE, "Basic " + ALICE, "Bearer " + CAROL, "Bearer " + ALICE[:-1]):
            self.assertEqual(self.http_code(base + "/v1/models", refused), 401, refused)
        self.assertEqual(self.http_code(base + "/v1/models", "Bearer " + ALICE), 200)
        self.assertEqual(self.http_code(base + "/v1/models", "bearer " + BOB), 200)

    def test_limits_count_by_the_tokens_name(self):
        path = self.tokens(f"alice {ALICE}\nalice {CAROL}\nbob {BOB}\n")
        fleet = self.start([], [f"--auth-tokens-file={path}", "--max-per-client=1"])
        alice, again = (self.client(fleet.endpoint, token=t) for t in (ALICE, CAROL))
        forger = self.client(fleet.endpoint, token=CAROL,
                             metadata=[("x-spearfish-client", "token:somebody")])
        running = alice.stream(stream_request(PROMPT, None, ignore_eos=True), timeout=600)
        next(running)
        for client in (again, forger):
            with self.assertRaises(grpc.RpcError) as refused:
                list(client.stream(stream_request(PROMPT, 2, ignore_eos=True)))
            self.assertEqual(refused.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        bob = self.client(fleet.endpoint, token=BOB)
        self.assertEqual(
            len(Result(bob.stream(stream_request(PROMPT, 2, ignore_eos=True))).tokens), 2)
        running.cancel()

    # Sockets and the launcher

    def test_sockets_have_modes_and_stale_ones_are_replaced(self):
        fleet = self.start(["--socket-mode=0660"])
        socket = self.folder / "gateway.sock"

        def mode_of(path):
            return stat.S_IMODE(os.stat(path).st_mode)
        self.assertEqual(mode_of(fleet.addresses[0].removeprefix("unix:")), 0o660)
        fleet.stop_gateway()
        fleet.endpoint = f"unix:{socket}"
        for _ in range(2):
            fleet.start_gateway()
            self.assertEqual(mode_of(socket), 0o600)
            self.assertTrue(self.client(fleet.endpoint).health())
            second = self.run_binary("spearfish-gateway", f"--listen={fleet.endpoint}",
                                     "--workers=127.0.0.1:1")
            self.assertEqual(second.returncode, 1)
            self.assertIn("a server listens on", second.stderr)
            fleet.gateway.send_signal(signal.SIGKILL)
            fleet.gateway.wait()
            fleet.gateway.stdout.close()
            self.assertTrue(socket.exists())
        fleet.start_gateway()
        self.assertTrue(self.client(fleet.endpoint).health())

    def test_the_launcher_passes_the_gateways_flags_on(self):
        ca = self.authority("site")
        gateway = ca.issue("gateway")
        tokens = self.tokens(f"alice {ALICE}\n")
        launcher = Launcher(BIN, MODEL, devices="cpu", extra=[
            f"--tls-cert={gateway.certificate}", f"--tls-key={gateway.key}",
            f"--auth-tokens-file={tokens}", "--scale=absmax"])
        self.addCleanup(launcher.cleanup)
        flags = [f"--endpoint={launcher.endpoint}", f"--tls-ca={ca.certificate}"]
        done = self.run_binary("spearfish", "status", *flags, f"--token-file={tokens}")
        self.assertEqual(done.returncode, 0, done.stderr)
        refused = self.run_binary("spearfish", "status", *flags)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("UNAUTHENTICATED", refused.stderr)
        insecure = self.run_binary("spearfish", "status", "--endpoint=192.0.2.1:1",
                                   f"--token-file={tokens}")
        self.assertIn("--insecure-tokens", insecure.stderr)
        self.assertNotIn(ALICE, launcher.read_log() + done.stdout + done.stderr + refused.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
