"""Starts `spearfish up` on a checkpoint for a test and stops it again."""

import os
import pathlib
import signal
import subprocess
import tempfile
import threading


class Launcher:
    """Two CPU workers and a gateway on a free port, with a segment folder of their own."""

    def __init__(self, bin_folder, model, devices="cpu,cpu", extra=()):
        self.folder = tempfile.TemporaryDirectory(prefix="spearfish-test-")
        self.shm = pathlib.Path(self.folder.name, "shm")
        self.shm.mkdir()
        self.log_path = pathlib.Path(self.folder.name, "log")
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = self._start(bin_folder, model, devices, extra, log)
        self.endpoint = self._await_ready()

    def _start(self, bin_folder, model, devices, extra, log):
        environment = dict(os.environ, TMPDIR=self.folder.name)
        return subprocess.Popen(
            [str(pathlib.Path(bin_folder, "spearfish")), "up", f"--model={model}",
             f"--devices={devices}", "--listen=127.0.0.1:0", f"--shm-dir={self.shm}", *extra],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment)

    def _await_ready(self):
        watchdog = threading.Timer(240, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if line.startswith("spearfish ready: "):
                    return line.split(": ", 1)[1].strip()
        finally:
            watchdog.cancel()
        raise RuntimeError("spearfish up was never ready:\n" + self.read_log())

    def read_log(self):
        return self.log_path.read_text(encoding="utf-8")

    def worker_pids(self):
        """By worker number, from /proc: those whose parent is the launcher."""
        pids = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent != self.process.pid:
                continue
            for argument in command:
                if argument.startswith(b"--listen=unix:") and b"worker-" in argument:
                    number = int(argument.rsplit(b"worker-", 1)[1].split(b".")[0])
                    pids[number] = int(entry.name)
        return pids

    def worker_address(self, number):
        command = pathlib.Path(f"/proc/{self.worker_pids()[number]}/cmdline").read_bytes()
        for argument in command.split(b"\0"):
            if argument.startswith(b"--listen="):
                return argument.split(b"=", 1)[1].decode()
        raise RuntimeError("worker without --listen")

    def stop(self):
        """SIGTERM and the exit status; kills after a minute."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        return status

    def cleanup(self):
        self.stop()
        self.folder.cleanup()
