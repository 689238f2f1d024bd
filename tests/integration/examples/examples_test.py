"""The examples and recipes against a real gateway with a worker.

usage: examples_test.py BIN_FOLDER SOURCE_FOLDER PYTHON_OUT NODE_FOLDER GO_FOLDER
This folder, tests/integration/serving and its protoc output are on PYTHONPATH.
"""

import json
import os
import pathlib
import subprocess
import sys
import unittest

from client import Client, Result, stream_request
from google.protobuf import json_format
from launcher import Launcher
from recipes import read_recipes
from reflection import Reflection

BIN, SOURCE, PYTHON_OUT, NODE, GO = (pathlib.Path(argument).resolve()
                                     for argument in sys.argv[1:6])
PROMPT, LENGTH = "In the beginning", 16


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
        recipes = read_recipes((SOURCE / "proto/clients.md").read_text("utf-8"))
        self.assertEqual({recipe.tool for recipe in recipes}, {"grpcurl", "ghz", "evans"})
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


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:], verbosity=2)
