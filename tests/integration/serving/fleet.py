"""Workers and a gateway as processes of their own, to be killed, stopped and started again."""

import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

PATIENCE_S = 120


def eventually(condition, what, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not come true: " + what)


class Fleet:
    """CPU workers of one model on unix sockets, and a gateway before them on a free port.

    With `hosts` (hosts.py) each worker is on a host of its own and listens on TCP there; the
    gateway is on another, and clients reach it through a unix socket.
    """

    def __init__(self, bin_folder, model, num_workers, worker_flags=(), gateway_flags=(),
                 hosts=None):
        self.hosts = hosts
        self.bin, self.model = pathlib.Path(bin_folder), model
        self.folder = tempfile.TemporaryDirectory(prefix="spearfish-fleet-")
        self.path = pathlib.Path(self.folder.name)
        (self.path / "shm").mkdir()
        self.worker_flags, self.gateway_flags = list(worker_flags), list(gateway_flags)
        self.log = open(self.path / "log", "w", encoding="utf-8")
        self.addresses = [f"unix:{self.path}/worker-{i}.sock" for i in range(num_workers)]
        self.workers = [None] * num_workers
        self.gateway, self.endpoint = None, "127.0.0.1:0"
        if hosts:
            self.addresses, self.endpoint = hosts.addresses, f"unix:{self.path}/gateway.sock"
        try:
            for number in range(num_workers):
                self.start_worker(number)
            for worker in self.workers:
                self._await_line(worker, "spearfish-worker ready: ")
            self.start_gateway()
        except BaseException:
            self.cleanup()
            raise

    def _start(self, host, name, *flags):
        command = self.hosts.command(host) if self.hosts else []
        return subprocess.Popen([*command, str(self.bin / name), *flags], stdout=subprocess.PIPE,
                                stderr=self.log, text=True)

    def _await_line(self, process, begin):
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                if line.startswith(begin):
                    return line[len(begin):].strip()
        finally:
            watchdog.cancel()
        raise RuntimeError("never said: " + begin + "\n" + self.read_log())

    def start_worker(self, number):
        """Does not wait: the gateway sees when it is ready."""
        self.workers[number] = self._start(
            number, "spearfish-worker", f"--model={self.model}", "--device=cpu", "--threads=1",
            f"--listen={self.addresses[number]}", f"--shm-dir={self.path}/shm",
            *self.worker_flags)

    def kill_worker(self, number):
        self.workers[number].kill()
        self._reap(self.workers[number])

    def start_gateway(self):
        count = len(self.addresses)
        self.gateway = self._start("gateway", "spearfish-gateway", f"--listen={self.endpoint}",
                                   "--workers=" + ",".join(self.addresses),
                                   "--poll-interval-ms=50", *self.gateway_flags)
        self.endpoint = self._await_line(
            self.gateway, f"spearfish-gateway ready: {count} of {count} workers at ")

    def stop_gateway(self, patience_s=60):
        """SIGTERM, then its exit status."""
        self.gateway.send_signal(signal.SIGTERM)
        status = self.gateway.wait(timeout=patience_s)
        self.gateway.stdout.close()
        return status

    def read_log(self):
        return (self.path / "log").read_text(encoding="utf-8")

    def resident_bytes(self, process):
        pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @staticmethod
    def _reap(process):
        process.wait()
        process.stdout.close()

    def cleanup(self):
        for process in [self.gateway, *self.workers]:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                self._reap(process)
        self.log.close()
        self.folder.cleanup()
