"""HTTP/2 by hand: a connection that keeps to the protocol only as far as a test wants."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE = 3, 4, 6
ENHANCE_YOUR_CALM = 11


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def settings(**values):
    names = {"max_concurrent_streams": MAX_CONCURRENT_STREAMS,
             "initial_window_size": INITIAL_WINDOW_SIZE}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value)
                                          for name, value in values.items()))


def _integer(value, prefix_bits):
    """HPACK's, without the bits before the prefix."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def header(name, value):
    """A literal that is not indexed, without Huffman coding."""
    out = b"\x00"
    for text in (name.encode(), value.encode()):
        out += _integer(len(text), 7) + text
    return out


class Http2Connection:
    """Reads frames only when asked."""

    def __init__(self, endpoint, patience_s=60, **own_settings):
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=patience_s)
        self._buffer = b""
        self.send(PREFACE + settings(**own_settings))

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, stream, path, message, **metadata):
        """A whole request on a stream of its own (an odd number)."""
        headers = b"".join(header(name, value) for name, value in [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("content-type", "application/grpc"), ("te", "trailers"), *metadata.items()])
        self.send(b"".join([
            frame(HEADERS, END_HEADERS, stream, headers[:16384]) if len(headers) <= 16384
            else self._in_pieces(stream, headers),
            frame(DATA, END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)]))

    @staticmethod
    def _in_pieces(stream, headers):
        pieces = [headers[i:i + 16384] for i in range(0, len(headers), 16384)]
        return b"".join([frame(HEADERS, 0, stream, pieces[0]),
                         *(frame(9, 0, stream, piece) for piece in pieces[1:-1]),
                         frame(9, END_HEADERS, stream, pieces[-1])])

    def _exactly(self, count):
        while len(self._buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                return None
            self._buffer += data
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out

    def read(self):
        """(kind, flags, stream, payload), or None when the server has closed the connection."""
        try:
            head = self._exactly(9)
            if head is None:
                return None
            payload = self._exactly(int.from_bytes(head[:3], "big"))
        except ConnectionResetError:
            return None
        if payload is None:
            return None
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def frames(self):
        """Until the server closes the connection."""
        while (one := self.read()) is not None:
            yield one

    def acknowledge(self, one):
        """What a client that lives answers."""
        kind, flags, _, payload = one
        if kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
