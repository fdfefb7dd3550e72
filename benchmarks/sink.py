"""A registry that takes no time: it reads what is pushed and keeps nothing of it.

For benchmarks: what a push takes there is the client's own time. With a registry that hashes and
stores, on the same processors, that time is hidden behind the registry's.
Source: distribution-spec, "Push".
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import BinaryIO, cast

_PIECE = 1 << 20


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    numbers = count()

    def do_GET(self) -> None:
        """Be a registry, and have nothing."""
        self._answer(200 if self.path == "/v2/" else 404)

    do_HEAD = do_GET  # noqa: N815 - the protocol of http.server

    def do_POST(self) -> None:
        """Begin an upload."""
        self._read()
        place = f"{self.path.split('?')[0].rstrip('/')}/{next(self.numbers)}"
        self._answer(202, place, "0-0")

    def do_PATCH(self) -> None:
        """Take a part of an upload."""
        size = self._read()
        self._answer(202, self.path, f"0-{max(0, size - 1)}")

    def do_PUT(self) -> None:
        """Take an upload's end, or a manifest."""
        self._read()
        self._answer(201, self.path)

    def _read(self) -> int:
        """Read the body; return its bytes."""
        source = cast("BinaryIO", self.rfile)
        if self.headers.get("Transfer-Encoding") != "chunked":
            return _drained(source, int(self.headers.get("Content-Length", 0)))
        total = 0
        while size := int(source.readline().split(b";")[0], 16):
            total += _drained(source, size)
            source.readline()
        while source.readline().strip():
            pass
        return total

    def _answer(self, status: int, place: str = "", got: str = "") -> None:
        self.send_response(status)
        if place:
            self.send_header("Location", place)
        if got:
            self.send_header("Range", got)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def _drained(source: BinaryIO, size: int) -> int:
    left = size
    while left:
        data = source.read(min(left, _PIECE))
        if not data:
            raise ConnectionError("the client went away")
        left -= len(data)
    return size


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go away."""


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """Yield host and port of one on loopback."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
