"""Processes under test: workers and spearfish-pack on a folder of segments of their own."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from client import Client

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
BUNDLED = SOURCE / "tests/data/qwen3-moe-3m"
STRESS = os.environ.get("SPEARFISH_STRESS", "0") not in ("", "0")
SANITIZED = os.environ.get("SPEARFISH_SANITIZE", "") not in ("", "OFF")
PATIENCE_S = 600 if SANITIZED else 120


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("did not come true: " + what)


class Process:
    """A binary with its output in a file; killed by cleanup if it still runs."""

    def __init__(self, rig, name, arguments, preexec=None):
        self.log_path = rig.new_path("log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([str(BIN / name), *arguments], stdout=log, stderr=log,
                                            preexec_fn=preexec)
        self.pid = self.process.pid

    def log(self):
        return self.log_path.read_text("utf-8", "replace")

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def wait(self):
        """The exit status; negative for a signal."""
        return self.process.wait(timeout=PATIENCE_S)

    def await_log(self, text):
        eventually(lambda: text in self.log() or not self.running(), f"log line '{text}'")
        assert text in self.log(), f"ended without '{text}':\n{self.log()}"


class Worker(Process):
    READY = "spearfish-worker ready: "

    def __init__(self, rig, model, *flags, preexec=None):
        self.address = "unix:" + str(rig.new_path("sock"))
        self.started = time.monotonic()
        self.client_ = None
        super().__init__(rig, "spearfish-worker",
                         [f"--model={model}", f"--shm-dir={rig.shm}", f"--listen={self.address}",
                          *flags], preexec)

    def await_ready(self):
        """Seconds from the start of the process."""
        self.await_log(self.READY)
        return time.monotonic() - self.started

    def client(self):
        if self.client_ is None:
            self.client_ = Client(self.address)
        return self.client_

    def load(self):
        return self.client().control("GetLoads").workers[0]

    def cache_stats(self):
        return self.client().control("GetExpertCacheStats").workers[0]

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()


class Rig:
    """A temporary folder with a `shm` below; all processes started through it."""

    def __init__(self, on_shared_memory=False):
        parent = "/dev/shm" if on_shared_memory and os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="sf-seg-", dir=parent)
        self.files = tempfile.TemporaryDirectory(prefix="sf-seg-")
        self.path = pathlib.Path(self.files.name)
        self.shm = pathlib.Path(self.folder.name, "shm")
        self.shm.mkdir()
        self.processes = []
        self.count = 0

    def new_path(self, suffix):
        self.count += 1
        return self.path / f"{self.count}.{suffix}"

    def _add(self, process):
        self.processes.append(process)
        return process

    def worker(self, model, *flags, preexec=None):
        return self._add(Worker(self, model, *flags, preexec=preexec))

    def start(self, name, *arguments, preexec=None):
        return self._add(Process(self, name, arguments, preexec))

    def populator(self, model, *flags, preexec=None):
        return self.start("spearfish-pack", "build", str(model), "--segment",
                          f"--shm-dir={self.shm}", *flags, preexec=preexec)

    def pack_file(self, model, path, *flags):
        process = self.start("spearfish-pack", "build", str(model), f"--out={path}", *flags)
        assert process.wait() == 0, process.log()

    def segment_files(self):
        return [p for p in self.shm.iterdir() if re.fullmatch(r"spearfish-[0-9a-f]{16}", p.name)]

    def segment(self):
        """The one segment of the folder, None before it has its name."""
        files = self.segment_files()
        return files[0] if files else None

    def clear(self):
        for process in self.processes:
            process.kill()
        self.processes.clear()
        for file in self.shm.iterdir():
            file.unlink()

    def cleanup(self):
        self.clear()
        self.folder.cleanup()
        self.files.cleanup()
