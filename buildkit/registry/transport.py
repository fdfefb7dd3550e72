"""One HTTP exchange: a request out, an answer in. No tries, no redirects, no credentials.

In: method, URL, headers, how the host is trusted, a body that can be read. Out: an `Answer`, whose
body is read as it comes. Failures are `UnreachableError`: what is the case, and whether trying
again may help. Every wait is bounded and ends on cancel (guarantees R7, R8). The door of urllib3.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from buildkit.registry.connections import BLOCK, manager
from buildkit.registry.errors import RegistryError, UnreachableError
from buildkit.registry.hosts import Trust
from buildkit.registry.limits import Limits
from buildkit.registry.proxies import Proxy, proxy_for
from buildkit.registry.watch import Watch
from runtime.values import NamedTuple

_AGENT = "pybuild"
_LEFT = 64 << 10
_CERTIFICATE = "certificate verify failed"
_NOT_TLS = ("wrong version number", "record layer failure", "packet length too long")


class Request(NamedTuple):
    """What to send. `body` gives blocks whose sizes come to `size`; None for no body.

    A negative size is one that nobody knows yet: the body is sent in HTTP's chunks.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Iterator[bytes] | None = None
    size: int = 0


class Answer:
    """An answer whose body is still to be read; `close` it. Not to be shared by threads."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, where: str, transport: Transport
    ) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._where = where
        self._transport = transport
        self._waited = 0.0
        self._came = 0
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """Return some of the next `size` bytes, b"" at the end.

        Raises UnreachableError, Cancelled.
        """
        self._transport.watch.check()
        began = time.monotonic()
        with self._transport.explained(self._where):
            data: bytes = self._response.read1(min(size, BLOCK), decode_content=False)
        self._transport.watch.check()
        self._ended = not data
        self._measure(time.monotonic() - began, len(data))
        return data

    def whole(self, limit: int, what: str) -> bytes:
        """Return the rest of the body and give the connection back. Raises RegistryError."""
        parts: list[bytes] = []
        size = 0
        try:
            while data := self.read(limit + 1 - size):
                size += len(data)
                if size > limit:
                    raise RegistryError(f"{self._where} sends {what} of more than {limit} bytes")
                parts.append(data)
        finally:
            self.close()
        return b"".join(parts)

    def finish(self) -> None:
        """Read what little is left and give the connection back."""
        with contextlib.suppress(RegistryError):
            self.whole(_LEFT, "a rest")

    def close(self) -> None:
        """Give the connection back if the body was read to its end, or else end it."""
        with contextlib.suppress(HTTPError, OSError):
            if self._ended or self._response.length_remaining == 0:
                self._response.drain_conn()  # an empty body has to be read, too
                self._response.release_conn()
            else:
                self._response.close()

    def _measure(self, seconds: float, size: int) -> None:
        """Raise UnreachableError when too little comes; only time spent waiting counts."""
        limits = self._transport.limits
        self._waited += seconds
        self._came += size
        if self._waited >= limits.window:
            if self._came < limits.floor and size:
                raise UnreachableError(
                    f"{self._where} is too slow: {self._came} bytes in {self._waited:.0f} seconds"
                )
            self._waited, self._came = 0.0, 0


class Transport:
    """Connections to any number of hosts. Any thread may use it; `close` it."""

    def __init__(self, watch: Watch, limits: Limits, environment: Mapping[str, str]) -> None:
        self.watch = watch
        self.limits = limits
        self._environment = environment
        self._managers: dict[tuple[Trust, Proxy | None], urllib3.PoolManager] = {}

    def exchange(self, request: Request, trust: Trust, where: str) -> Answer:
        """Send `request`; return the beginning of the answer. `where`: what errors call the host.

        Raises UnreachableError, Cancelled, and what reading the body raises.
        """
        self.watch.check()
        limits = self.limits
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **dict(request.headers)}
        body: Any = None
        if request.body is not None:
            body = request.body if request.size else b""
            if request.size >= 0:
                headers["Content-Length"] = str(request.size)
        stall = limits.commit if request.method == "PUT" else limits.stall
        with self.explained(where):
            response = self._manager(request.url, trust).urlopen(
                request.method,
                request.url,
                body=body,
                chunked=request.size < 0,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=limits.connect, read=stall),
            )
        return Answer(response, where, self)

    def close(self) -> None:
        """End all connections."""
        for found in self._managers.values():
            found.clear()
        self._managers.clear()

    @contextlib.contextmanager
    def explained(self, where: str) -> Iterator[None]:
        """Turn what urllib3 raises into UnreachableError; Cancelled goes first."""
        try:
            yield
        except (HTTPError, TimeoutError, ssl.SSLError) as error:
            self.watch.check()
            raise _unreachable(error, where) from error

    def _manager(self, url: str, trust: Trust) -> urllib3.PoolManager:
        parts = urllib3.util.parse_url(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        proxy = proxy_for(parts.scheme or "", parts.host or "", port, self._environment)
        key = (trust, proxy)
        found = self._managers.get(key)
        if found is None:
            found = manager(self.watch, self.limits, trust, proxy)
            found = self._managers.setdefault(key, found)
        return found


def _unreachable(error: Exception, where: str) -> UnreachableError:
    """Return what to tell the user about an exchange that failed."""
    if isinstance(error, ProxyError):
        inner = error.original_error
        return UnreachableError(
            f"the proxy to {where} does not answer: {_reason(inner)}", never=True
        )
    if isinstance(error, NameResolutionError):
        cause = error.__cause__
        known = isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
        return UnreachableError(
            f"the host of {where} is not known: the name cannot be resolved",
            hint="is the name right, and is there a network? mirrors: PYBUILD_REGISTRY_MIRRORS",
            temporary=not known,
            never=True,
        )
    if isinstance(error, NewConnectionError):
        return UnreachableError(
            f"{where} cannot be reached: {_reason(error.__cause__)}", never=True
        )
    if isinstance(error, (SSLError, ssl.SSLError)):
        return _tls(error, where)
    if isinstance(error, (TimeoutError, urllib3.exceptions.TimeoutError)):
        connecting = isinstance(error, urllib3.exceptions.ConnectTimeoutError)
        what = "cannot be reached: no answer" if connecting else "stopped answering"
        return UnreachableError(f"{where} {what} in time", never=connecting)
    text = str(error)
    foreign = "BadStatusLine" in text or "HTTP/0.9" in text
    if foreign:
        return UnreachableError(f"what answers at {where} does not speak HTTP", foreign=True)
    return UnreachableError(f"the connection to {where} broke: {_broken(error)}")


def _tls(error: Exception, where: str) -> UnreachableError:
    text = str(error).lower()
    if _CERTIFICATE in text:
        why = text.partition(f"{_CERTIFICATE}: ")[2].partition(" (_ssl")[0] or "not trusted"
        return UnreachableError(
            f"the certificate of {where} is not trusted: {why}",
            hint="name its authority in registries.conf (ca = FILE), in certs.d or SSL_CERT_FILE",
            temporary=False,
        )
    if any(sign in text for sign in _NOT_TLS):
        return UnreachableError(
            f"{where} does not speak TLS",
            hint="if it is meant to be used without, mark it insecure in registries.conf",
            temporary=False,
            foreign=True,
        )
    return UnreachableError(f"TLS with {where} failed: {text.partition(' (_ssl')[0][:200]}")


def _reason(error: BaseException | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rpartition(": ")[2].lower()[:200] or "no reason given"


def _broken(error: Exception) -> str:
    """Return in few words how a connection ended."""
    for inner in (*getattr(error, "args", ()), error.__cause__, error.__context__):
        if isinstance(inner, ConnectionResetError):
            return "reset by the other side"
        if type(inner).__name__ == "RemoteDisconnected":
            return "closed without an answer"
        if type(inner).__name__ == "IncompleteRead":
            return "closed in the middle of an answer"
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
    # The text of others may hold addresses with secrets in them.
    return f"what came makes no sense ({type(error).__name__})"
