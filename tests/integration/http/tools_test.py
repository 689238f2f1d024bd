"""What a model writes of reasoning and calls of tools, as OpenAI's Node client gets it.

usage: tools_test.py BIN_FOLDER SOURCE_FOLDER NODE_FOLDER
"""

import os
import pathlib
import subprocess
import sys

import parrot_worker
from fleet import Fleet

BIN, _, NODE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])


class ParrotFleet(Fleet):
    """A gateway that serves HTTP before a worker that answers with what it is told."""

    def __init__(self):
        self.server, address = parrot_worker.start()
        self.worker_address = address
        super().__init__(BIN, None, 0)

    def start_gateway(self):
        self.gateway = self._start("gateway", "spearfish-gateway", f"--listen={self.endpoint}",
                                   f"--workers={self.worker_address}", "--poll-interval-ms=50",
                                   "--http-listen=127.0.0.1:0")
        self.http = self._await_line(self.gateway, "spearfish-gateway http: ")
        self._await_line(self.gateway, "spearfish-gateway ready: 1 of 1 workers at ")

    def cleanup(self):
        super().cleanup()
        self.server.stop(None)


def main():
    fleet = ParrotFleet()
    try:
        environment = dict(os.environ, SPEARFISH_HTTP=fleet.http,
                           SPEARFISH_MODEL=parrot_worker.MODEL)
        run = subprocess.run(["node", "--test", "tools.test.mjs"], cwd=NODE, env=environment,
                             timeout=600, check=False)
        if run.returncode != 0:
            print(fleet.read_log(), file=sys.stderr)
        return run.returncode
    finally:
        fleet.cleanup()


if __name__ == "__main__":
    sys.exit(main())
