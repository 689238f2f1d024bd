"""buf's opinion of proto/: lint, and nothing that clients rely on is taken back.

usage: buf_test.py SOURCE_FOLDER NODE_FOLDER
"""

import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

SOURCE, NODE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
PROTO = SOURCE / "proto"
API = "spearfish/v1"


def git(*arguments):
    run = subprocess.run(["git", "-C", str(SOURCE), *arguments], capture_output=True, check=False)
    return run.stdout if run.returncode == 0 else None


class BufTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="spearfish-buf-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def buf(self, *arguments, cwd=PROTO):
        environment = dict(os.environ, BUF_CACHE_DIR=str(self.folder / "cache"))
        return subprocess.run([str(NODE / "node_modules/.bin/buf"), *arguments], cwd=cwd,
                              capture_output=True, text=True, timeout=120, check=False,
                              env=environment)

    def assert_clean(self, run):
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def changed(self, before, after):
        """A copy of proto/ in which one text of inference.proto was replaced."""
        copy = self.folder / "proto"
        shutil.copytree(PROTO, copy)
        file = copy / API / "inference.proto"
        text = file.read_text("utf-8")
        self.assertIn(before, text)
        file.write_text(text.replace(before, after, 1), "utf-8")
        return copy

    def last_release(self):
        """An image of the API at the last tag; None without one."""
        tag = git("describe", "--tags", "--abbrev=0")
        if tag is None:
            return None
        archive = git("archive", tag.decode().strip(), "proto")
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(self.folder / "release")
        image = self.folder / "release.binpb"
        self.assert_clean(self.buf("build", ".", "--path", API, "--output", str(image),
                                   cwd=self.folder / "release/proto"))
        return image

    def breaking(self, against, cwd=PROTO):
        return self.buf("breaking", ".", "--against", str(against), "--path", API, cwd=cwd)

    def test_lint(self):
        self.assert_clean(self.buf("lint", "."))

    def test_lint_sees_a_bad_name(self):
        run = self.buf("lint", ".", cwd=self.changed("FINISH_REASON_STOP = 1", "STOPPED = 1"))
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("FINISH_REASON_", run.stdout)

    def test_nothing_of_the_baseline_is_broken(self):
        self.assert_clean(self.breaking(PROTO / "baseline.binpb"))

    def test_nothing_of_the_last_release_is_broken(self):
        release = self.last_release()
        if release is None:
            self.skipTest("no tag yet: the baseline stands for it")
        self.assert_clean(self.breaking(release))

    def test_a_number_that_changes_is_broken(self):
        copy = self.changed("uint32 num_sequences = 10;", "uint32 num_sequences = 11;")
        run = self.breaking(PROTO / "baseline.binpb", cwd=copy)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("num_sequences", run.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
