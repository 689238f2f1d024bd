"""`spearfish chat` from a pipe against a worker on the bundled checkpoint.

usage: chat_cli_test.py BIN_FOLDER SOURCE_FOLDER
"""

import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
GREEDY = ["--max-tokens=12", "--temperature=0"]


class Worker:
    def __init__(self, model, folder):
        shm = pathlib.Path(folder, "shm")
        shm.mkdir(exist_ok=True)
        self.log = open(pathlib.Path(folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(BIN / "spearfish-worker"), f"--model={model}", "--device=cpu",
             "--listen=127.0.0.1:0", f"--shm-dir={shm}"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.endpoint = self._await_ready()

    def _await_ready(self):
        watchdog = threading.Timer(240, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if line.startswith("spearfish-worker ready: "):
                    return line.split()[2]
        finally:
            watchdog.cancel()
        self.log.seek(0)
        raise RuntimeError("the worker was never ready:\n" + self.log.read())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()


def run(*arguments, stdin=""):
    return subprocess.run([str(BIN / "spearfish"), *arguments], input=stdin, capture_output=True,
                          text=True, timeout=120, check=False)


def rendered(*messages):
    """As the bundled checkpoint's template has it."""
    turns = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
    return turns + "<|im_start|>assistant\n"


class ChatTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="spearfish-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.worker = Worker(MODEL, cls.folder.name)
        cls.addClassCleanup(cls.worker.stop)

    def chat(self, stdin, *flags):
        done = run("chat", f"--endpoint={self.worker.endpoint}", *GREEDY, *flags, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def generate(self, *messages):
        done = run("generate", f"--endpoint={self.worker.endpoint}", *GREEDY, "--prompt",
                   rendered(*messages))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_keeps_the_history_until_reset(self):
        system, first = ("system", "Be brief."), ("user", "In the beginning")
        one = self.generate(system, first)
        again = self.generate(system, first, ("assistant", one[:-1]), ("user", "And then?"))
        alone = self.generate(system, ("user", "And then?"))
        self.assertNotEqual(again, alone)
        said = self.chat("In the beginning\nAnd then?\n/reset\n\nAnd then?\n/exit\nNot asked\n",
                         "--system=Be brief.")
        self.assertEqual(said, one + again + alone)

    def test_end_of_input_ends_it(self):
        self.assertEqual(self.chat(""), "")
        self.assertEqual(self.chat("In the beginning", "--no-think", "--seed=1"),
                         self.generate(("user", "In the beginning")))

    def test_failure_from_a_pipe_is_named_and_ends_it(self):
        done = run("chat", f"--endpoint={self.worker.endpoint}", "--model=another",
                   stdin="Hello\nHello\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("error: NOT_FOUND: unknown model"), 1)

    def test_checkpoint_without_a_usable_template_says_so(self):
        for template, reason in ((None, "has no chat template"),
                                 ("{% include 'x' %}", "the tag include is not supported")):
            with self.subTest(reason=reason), tempfile.TemporaryDirectory() as model:
                for file in MODEL.iterdir():
                    if file.name != "chat_template.jinja":
                        pathlib.Path(model, file.name).symlink_to(file)
                if template is not None:
                    pathlib.Path(model, "chat_template.jinja").write_text(template, "utf-8")
                worker = Worker(model, self.folder.name)
                try:
                    done = run("chat", f"--endpoint={worker.endpoint}", stdin="Hello\n")
                finally:
                    worker.stop()
                self.assertEqual(done.returncode, 1)
                self.assertIn("FAILED_PRECONDITION: chat prompts are not served", done.stderr)
                self.assertIn(reason, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
