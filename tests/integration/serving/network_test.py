"""Workers on other hosts, with packets lost on the way and hosts cut off.

usage: network_test.py BIN_FOLDER SOURCE_FOLDER
The protoc output and this folder are on PYTHONPATH. Exit status 77: no such hosts on this machine.
"""

import pathlib
import sys
import time
import unittest

import grpc
import hosts
from client import Client, stream_request
from fleet import Fleet, eventually
from streams import Streams, requests, whole

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
SKIPPED = 77


class NetworkTest(unittest.TestCase):
    def start(self, num_workers, *gateway_flags, patience_ms=60000):
        self.hosts = hosts.Hosts(num_workers)
        self.addCleanup(self.hosts.cleanup)
        fleet = Fleet(BIN, MODEL, num_workers, ["--scale=absmax"],
                      [f"--retry-patience-ms={patience_ms}", *gateway_flags], self.hosts)
        self.addCleanup(fleet.cleanup)
        self.client = Client(fleet.endpoint)
        self.addCleanup(self.client.close)
        return fleet

    def loads(self):
        return self.client.control("GetLoads").workers

    def reference(self):
        """Through the gateway: what a stream is doesn't depend on who serves it."""
        return [(request, whole(self.client.stream(request))) for request in requests()]

    def streams(self, fleet):
        streams = Streams(fleet.endpoint, self.reference(), 4)
        self.addCleanup(streams.stop)
        eventually(lambda: all(load.in_flight for load in self.loads()), "all are busy")
        return streams

    def finish(self, streams):
        streams.stop()
        self.assertEqual(streams.problems, [])

    def test_lost_packets_only_cost_time(self):
        fleet = self.start(2)
        streams = self.streams(fleet)
        for host in (0, 1):
            self.hosts.lose_packets(host, 3)
        finished = streams.finished
        eventually(lambda: streams.finished >= finished + 20, "20 streams came to their end")
        lost = sum(self.hosts.num_lost(host) for host in (0, 1))
        self.finish(streams)
        self.assertGreater(lost, 0)
        print(f"{streams.finished} streams whole, {lost} packets lost")

    def test_streams_leave_a_host_that_is_cut_off_and_return_to_it(self):
        fleet = self.start(2, "--worker-timeout-s=2")
        streams = self.streams(fleet)
        self.hosts.cut_off(1)
        begin, finished = time.monotonic(), streams.finished
        eventually(lambda: not self.loads()[1].in_flight, "its streams went on elsewhere")
        print(f"nothing runs at the host that is cut off after {time.monotonic() - begin:.1f} s")
        eventually(lambda: streams.finished >= finished + 10, "10 streams at the other")
        self.hosts.heal(1)
        eventually(lambda: self.loads()[1].ready and self.loads()[1].in_flight, "it serves again")
        self.finish(streams)

    def test_when_all_are_cut_off_requests_are_refused(self):
        fleet = self.start(1, "--worker-timeout-s=1", patience_ms=500)
        self.hosts.cut_off(0)
        eventually(lambda: not self.loads()[0].ready, "the gateway has seen it")
        with self.assertRaises(grpc.RpcError) as refused:
            list(self.client.stream(stream_request([17, 4], 4)))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.hosts.heal(0)
        eventually(lambda: self.loads()[0].ready, "it is back")

        def serves():
            try:
                return list(self.client.stream(stream_request([17, 4], 4)))
            except grpc.RpcError:  # a second without an answer, and it is lost again
                return False
        eventually(serves, "it serves again")
        self.assertIsNone(fleet.workers[0].poll())


if __name__ == "__main__":
    if reason := hosts.why_not():
        print("skipped: " + reason)
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
