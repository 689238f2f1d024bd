"""A worker and a gateway that serves HTTP, and a raw HTTP client of it."""

import json
import shutil
import socket

from client import Client
from fleet import Fleet, eventually

PATIENCE_S = 120


class HttpFleet(Fleet):
    def __init__(self, bin_folder, model, *gateway_flags, listen="127.0.0.1:0"):
        super().__init__(bin_folder, model, 1, ["--scale=absmax"],
                         [f"--http-listen={listen}", *gateway_flags])
        self.client = Client(self.endpoint)

    def start_gateway(self):
        self.gateway = self._start("gateway", "spearfish-gateway", f"--listen={self.endpoint}",
                                   "--workers=" + ",".join(self.addresses),
                                   "--poll-interval-ms=50", *self.gateway_flags)
        self.http = self._await_line(self.gateway, "spearfish-gateway http: ")
        self.endpoint = self._await_line(self.gateway, "spearfish-gateway ready: 1 of 1 workers at ")

    @property
    def address(self):
        host, port = self.http.rsplit(":", 1)
        return host, int(port)

    def idle(self):
        """Asks the worker: what it runs is what it can't give to others."""
        worker = Client(self.addresses[0])
        try:
            load = worker.control("GetLoads").workers[0]
        finally:
            worker.close()
        return load.running_sequences == 0 and load.waiting_sequences == 0

    def await_idle(self):
        eventually(self.idle, "no sequence is left at the worker")

    def await_busy(self):
        eventually(lambda: not self.idle(), "a sequence runs")

    def cleanup(self):
        if hasattr(self, "client"):
            self.client.close()
        super().cleanup()


def model_with_template(source, folder, template):
    """A copy of the checkpoint that has another chat template."""
    shutil.copytree(source, folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


class Connection:
    """Bytes out, answers in: nothing between the test and the socket."""

    def __init__(self, address, receive_buffer=None, tls=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(address)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost",
                                          suppress_ragged_eofs=False)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def post(self, path, body, version="1.1", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Host": "test", "Content-Type": "application/json",
                   "Content-Length": len(body), **{k.replace("_", "-"): v
                                                   for k, v in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.send(f"POST {path} HTTP/{version}\r\n{head}\r\n".encode() + body)

    def get(self, path, method="GET"):
        self.send(f"{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())

    def read_head(self):
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers

    def read_chunk(self):
        """None after the last."""
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        assert self.file.read(2) == b"\r\n"
        return data if size else None

    def read_answer(self):
        """Status, headers and body; a list of events where it is a stream."""
        status, headers = self.read_head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while (chunk := self.read_chunk()) is not None:
                body += chunk
        elif "content-length" in headers:
            body = self.file.read(int(headers["content-length"]))
        else:
            body = self.file.read()
        if headers["content-type"].startswith("text/event-stream"):
            events = [event.removeprefix("data: ") for event in body.decode().split("\n\n")[:-1]]
            return status, headers, [e if e == "[DONE]" else json.loads(e) for e in events]
        return status, headers, json.loads(body)

    def is_closed(self):
        """Waits until the other side has closed."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True
