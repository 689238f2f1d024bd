"""The examples and recipes against a real gateway with a worker.

usage: examples_test.py BIN_FOLDER SOURCE_FOLDER PYTHON_OUT NODE_FOLDER GO_FOLDER BUF
This folder, tests/integration/serving and its protoc output are on PYTHONPATH.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from client import Client, Result, stream_request
from google.protobuf import json_format
from launcher import Launcher
from recipes import read_commands, read_recipes
from reflection import Reflection

BIN, SOURCE, PYTHON_OUT, NODE, GO, BUF = (pathlib.Path(argument).resolve()
                                          for argument in sys.argv[1:7])
PAGE = SOURCE / "proto/clients.md"
PROMPT, LENGTH = "In the beginning", 300  # so many that they can't all wait for one message


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Launcher(BIN, SOURCE / "tests/data/qwen3-moe-3m", devices="cpu")
        cls.addClassCleanup(cls.up.cleanup)
        cls.client = Client(cls.up.endpoint)
        cls.addClassCleanup(cls.client.close)
        cls.want = Result(cls.client.stream(stream_request(PROMPT, LENGTH, temperature=0)))

    @staticmethod
    def run_example(command, **environment):
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                              env=dict(os.environ, **environment))

    def assert_streams(self, command, **environment):
        run = self.run_example([*command, PROMPT, str(LENGTH)], **environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        *deltas, finish = (json.loads(line) for line in run.stdout.splitlines())
        self.assertGreater(len(deltas), 1)
        self.assertEqual([i for delta in deltas for i in delta["token_ids"]], self.want.tokens)
        self.assertEqual("".join(delta["text"] for delta in deltas), self.want.text)
        self.assertEqual(finish, {"finish_reason": "FINISH_REASON_LENGTH",
                                  "completion_tokens": LENGTH})
        refused = self.run_example([*command, PROMPT, "0"], **environment)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("max_tokens", refused.stderr)

    def test_python(self):
        self.assert_streams(
            [sys.executable, str(SOURCE / "deploy/examples/python/stream.py"), self.up.endpoint],
            PYTHONPATH=str(PYTHON_OUT))

    def test_node(self):
        self.assert_streams(["node", str(NODE / "stream.mjs"), self.up.endpoint,
                             str(SOURCE / "proto")])

    def test_go(self):
        self.assert_streams([str(GO / "stream"), self.up.endpoint])

    def test_recipes(self):
        recipes = read_recipes(PAGE.read_text("utf-8"))
        self.assertEqual({recipe.tool for recipe in recipes}, {"grpcurl", "buf", "ghz", "evans"})
        self.assertGreater(len(recipes), 10)
        reflections = {}  # a pool of descriptors each
        for recipe in recipes:
            with self.subTest(recipe=recipe):
                reflection = reflections.setdefault(recipe.service,
                                                    Reflection(self.client.channel))
                request_type, call = reflection.call(recipe.service, recipe.method)
                request = json_format.Parse(recipe.body, request_type())
                answer = call(request, timeout=60)
                if hasattr(answer, "__next__"):
                    self.assertGreater(len(list(answer)), 0)

    def buf(self, *arguments):
        with tempfile.TemporaryDirectory(prefix="spearfish-buf-") as cache:
            return subprocess.run([str(BUF), *arguments], cwd=SOURCE, capture_output=True,
                                  text=True, timeout=120, check=False,
                                  env=dict(os.environ, BUF_CACHE_DIR=cache))

    def test_buf_curl(self):
        outputs = []
        for _, *arguments in read_commands(PAGE.read_text("utf-8"), "buf"):
            run = self.buf(*(a.replace("127.0.0.1:50051", self.up.endpoint) for a in arguments))
            self.assertEqual(run.returncode, 0, f"{arguments}: {run.stderr}")
            outputs.append(run.stdout)
        methods, stream, loads, _ = outputs
        self.assertIn("spearfish.v1.InferenceService/GenerateStream", methods)
        ids = re.findall(r'"tokenIds": \[([^]]*)\]', stream)
        self.assertEqual([int(i) for part in ids for i in part.split(",")],
                         self.want.tokens[:16])
        self.assertEqual(len(json.loads(loads)["workers"]), 1)

    def test_buf_curl_is_told_what_is_wrong(self):
        run = self.buf("curl", "--protocol", "grpc", "-d", '{"stopping": {"max_tokens": 0}}',
                       f"http://{self.up.endpoint}/spearfish.v1.InferenceService/Generate")
        self.assertEqual(run.returncode, 3 << 3, run.stderr)  # INVALID_ARGUMENT
        self.assertIn("max_tokens", run.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[7:], verbosity=2)
