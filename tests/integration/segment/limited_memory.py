"""A cgroup with a memory limit, of version 1 or 2, whichever this host lets a test make."""

import os
import pathlib
import re
import time


class Version:
    def __init__(self, name, limit, usage, peak, stat_oom):
        self.name, self.limit, self.usage, self.peak = name, limit, usage, peak
        self.stat_oom = stat_oom


V1 = Version("v1", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes",
             ("memory.oom_control", "oom_kill"))
V2 = Version("v2", "memory.max", "memory.current", "memory.peak", ("memory.events", "oom_kill"))


def own_folder(version):
    """Where this process's cgroup is mounted, or None."""
    own = None
    for line in pathlib.Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        number, controllers, path = line.split(":", 2)
        if (number == "0") if version is V2 else ("memory" in controllers.split(",")):
            own = path
    for line in pathlib.Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        left, right = line.split(" - ", 1)
        root, point = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        wanted = kind == "cgroup2" if version is V2 else (
            kind == "cgroup" and "memory" in options.split(","))
        if wanted and own is not None:
            below = own[len(root.rstrip("/")):] if own.startswith(root) else ""
            return pathlib.Path(point + below.rstrip("/"))
    return None


class LimitedCgroup:
    """Made beside nothing else; remove() once its processes are gone and its files deleted."""

    def __init__(self, folder, version):
        self.folder, self.version = folder, version

    @staticmethod
    def create(limit_bytes):
        """None where no controller is writable."""
        for version in (V1, V2):
            parent = own_folder(version)
            if parent is None:
                continue
            folder = parent / f"spearfish-test-{os.getpid()}-{time.monotonic_ns()}"
            try:
                folder.mkdir()
                cgroup = LimitedCgroup(folder, version)
                (folder / version.limit).write_text(str(limit_bytes))
                return cgroup
            except OSError:
                if folder.exists():
                    folder.rmdir()
        return None

    def join(self):
        """For a child, between fork and exec."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def read(self, name):
        return int((self.folder / name).read_text("utf-8"))

    def peak_bytes(self):
        return self.read(self.version.peak)

    def oom_kills(self):
        name, key = self.version.stat_oom
        found = re.search(rf"^{key} (\d+)", (self.folder / name).read_text("utf-8"), re.M)
        return int(found.group(1)) if found else 0

    def remove(self):
        for _ in range(200):
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.05)  # until the kernel has let the last process go
        raise AssertionError(f"cgroup stays: {self.folder}")
