"""Ways in which the registry of tests/registry.py can misbehave, one function each."""

import contextlib
import re
from collections.abc import Mapping

from tests.registry import MANIFEST, Act, Exchange, document


def status(code: int, headers: Mapping[str, str] | None = None, message: str = "") -> Act:
    """Fail with a status."""

    def act(exchange: Exchange) -> None:
        exchange.body()
        data = document({"errors": [{"code": "X", "message": message}]}) if message else b""
        exchange.answer(code, headers, data)

    return act


def redirect(url: str, code: int = 307) -> Act:
    """Lead elsewhere; `{}` in `url` is the path."""

    def act(exchange: Exchange) -> None:
        exchange.answer(code, {"Location": url.format(exchange.path)})

    return act


def body(data: bytes, headers: Mapping[str, str] | None = None) -> Act:
    """Give another body than the right one."""
    return lambda exchange: exchange.answer(200, headers, data)


def cut(data: bytes, after: int, *, reset: bool = False) -> Act:
    """Announce `data`, honour a Range, and break off after so many bytes."""

    def act(exchange: Exchange) -> None:
        span = re.fullmatch(r"bytes=(\d+)-", exchange.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        part = data[start:]
        exchange.send_response(206 if span else 200)
        exchange.send_header("Content-Length", str(len(part)))
        if span:
            exchange.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        exchange.end_headers()
        exchange.wfile.write(part[:after])
        exchange.wfile.flush()
        if reset:
            exchange.reset()
        exchange.close_connection = True

    return act


def silence(exchange: Exchange) -> None:
    """Never answer."""
    exchange.wait_until_gone()


def stall(data: bytes, after: int) -> Act:
    """Send so many bytes, then nothing more."""

    def act(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(len(data)))
        exchange.end_headers()
        exchange.wfile.write(data[:after])
        exchange.wfile.flush()
        exchange.wait_until_gone()

    return act


def drip(every: float, data: bytes = b"", *, headers: bool = False) -> Act:
    """Send a byte now and then, of the body or already of the headers, for ever."""

    def act(exchange: Exchange) -> None:
        exchange.close_connection = True
        if headers:
            exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            exchange.send_response(200)
            exchange.send_header("Content-Length", str(len(data)))
            exchange.end_headers()
        with contextlib.suppress(OSError):
            for byte in data or b"x" * 1000:
                if exchange.owner.gone.wait(every):
                    return
                exchange.wfile.write(bytes((byte,)))

    return act


def endless(exchange: Exchange) -> None:
    """Send a body without an end."""
    exchange.send_response(200)
    exchange.send_header("Content-Type", MANIFEST)
    exchange.end_headers()
    exchange.close_connection = True
    with contextlib.suppress(OSError):
        while not exchange.owner.gone.is_set():
            exchange.wfile.write(b" " * 65536)


def broken(exchange: Exchange) -> None:
    """Break the connection at once."""
    exchange.reset()


def nonsense(exchange: Exchange) -> None:
    """Answer with what is no HTTP."""
    exchange.wfile.write(b"\x15\x03\x01\x00\x02\x02\x50")
    exchange.close_connection = True
