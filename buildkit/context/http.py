"""Downloads of ADD and of remote contexts: one file over http or https, whole or not at all.

In: a URL, what is known of an earlier download, credentials by host. Out: the body in a file, its
digest, its Last-Modified; or that nothing has changed. Only http and https are spoken, also after
redirects, and never http after https (S22, S24); credentials go to the host they are for; short
bodies are noticed; what may pass is tried again (R7). An ETag says something of one URL only (RFC
9110, 8.8.3), so a download is the same only where the same URL answers at the end of the redirects.
Not by urllib's opener, which speaks file: and ftp: as well.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from buildkit.errors import ContextError, StoreError
from buildkit.oci.digest import Digest
from grammar.urls import redacted
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


_REDIRECTS = 10
_TRIES = 5
_TIMEOUT = 60
_HEADERS = 120
_SLOWEST = 128
"""Bytes a second, on average, once a minute has passed."""

_LONGEST_WAIT = 60.0
_CHUNK = 1 << 18
_AGENT = "pybuild"
_SAFE = "/%:;=&?~+!$,'@()*[]"
_AGAIN = (408, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)

_SIGNED = {
    "x-amz-signature": r"x-amz-.*",
    "x-goog-signature": r"x-goog-.*",
    "signature": r"expires|signature|key-pair-id|policy|googleaccessid",  # CloudFront, Google
    "sig": r"sv|st|se|sr|sp|sip|spr|sig|skoid|sktid|skt|ske|sks|skv|jwt",  # Azure, GitHub
}
"""A parameter that signs a URL, and those that then say who may read it for how long, not what."""

Credentials: TypeAlias = Callable[[str], str]
"""Given `host` or `host:port`, the value of its Authorization header; empty for none."""


class Download(NamedTuple):
    """What came: `modified` in seconds since the epoch, 0 when the server does not say.

    `place`: the sha256 of the URL that answered, in hex: where the redirects ended, without what
    only says who may read it. That is what `etag` is of.
    """

    digest: Digest
    size: int
    modified: int
    etag: str
    place: str


class _Answer(NamedTuple):
    """The end of a chain of redirects; `place` as in `Download`."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    place: str


class _Passing(Exception):  # noqa: N818 - a reason to try again
    """A fault that may pass; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


def no_credentials(host: str) -> str:  # noqa: ARG001
    """Return none for any host."""
    return ""


def secret_credentials(secrets: Mapping[str, bytes]) -> Credentials:
    """Return the credentials in secrets called `HTTP_AUTH_HEADER_host`, `HTTP_AUTH_TOKEN_host`."""

    def credentials(host: str) -> str:
        for name in dict.fromkeys((host, host.rpartition(":")[0])):
            header = secrets.get(f"HTTP_AUTH_HEADER_{name}")
            if header is not None:
                return header.decode("latin-1").strip()
            token = secrets.get(f"HTTP_AUTH_TOKEN_{name}")
            if token is not None:
                return f"Bearer {token.decode('latin-1').strip()}"
        return ""

    return credentials


def download(
    url: str,
    target: int,
    *,
    known: Download | None = None,
    credentials: Credentials = no_credentials,
    check: Callable[[], object] = lambda: None,
) -> Download | None:
    """Write the body of `url` to the empty open file `target`; None when `known` still holds.

    Raises ContextError when it cannot be had. `check` is called often and may raise to stop.
    """
    fault = ""
    for attempt in range(_TRIES):
        check()
        try:
            answer = _ask(url, known, credentials)
            try:
                if answer.response.status == 304:
                    return None
                return _receive(answer, target, check)
            finally:
                _end(answer.connection, answer.response)
        except _Passing as passing:
            fault = str(passing)
            pause = min(passing.wait or 0.2 * 2**attempt * (1 + random.random()), _LONGEST_WAIT)  # noqa: S311
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise _failed(url, error.verify_message) from error
            fault = _fault(error)
            pause = 0.2 * 2**attempt * (1 + random.random())  # noqa: S311
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        if attempt + 1 < _TRIES:
            _sleep(pause, check)
    raise _failed(url, f"{fault}, {_TRIES} times")


def _fault(error: Exception) -> str:
    """Return why there was no answer, as a user can read it."""
    if isinstance(error, socket.gaierror):
        return "the name of the host cannot be resolved"
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    if reason:
        return f"no TLS: {reason.replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _sleep(seconds: float, check: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.1))


def _ask(url: str, known: Download | None, credentials: Credentials) -> _Answer:
    """Follow `url` to its end. Raises ContextError, `_Passing`, OSError, HTTPException."""
    first = parts = _checked(url)
    for _ in range(_REDIRECTS + 1):
        headers = {"Accept-Encoding": "identity", "User-Agent": _AGENT, "Accept": "*/*"}
        if (authorization := _authorization(parts, first, credentials)) != "":
            headers["Authorization"] = authorization
        place = _place(parts)
        if conditional := known is not None and known.etag != "" and known.place == place:
            headers["If-None-Match"] = known.etag
        connection, response = _connection(parts), None
        try:
            path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
            response = _response(connection, _path(connection, parts, path), headers)
            location = response.headers.get("Location", "")
            if response.status not in _MOVED or not location:
                _check_status(url, response, (200, 304) if conditional else (200,))
                return _Answer(connection, response, place)
        except BaseException:
            _end(connection, response)
            raise
        _end(connection, response)
        after = _checked(urljoin(parts.geturl(), location))
        if parts.scheme == "https" and after.scheme == "http":
            raise _failed(url, f"it is redirected from https to {redacted(after.geturl())}")
        parts = after
    raise _failed(url, f"it is redirected more than {_REDIRECTS} times")


def _end(connection: http.client.HTTPConnection, response: http.client.HTTPResponse | None) -> None:
    """Close both: a response may have taken the socket over."""
    if response is not None:
        response.close()
    connection.close()


def _response(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """Ask for `path`; give up on a server whose headers take too long, byte by byte."""
    connection.connect()
    assert connection.sock is not None
    timer = threading.Timer(_HEADERS, connection.sock.shutdown, [socket.SHUT_RDWR])
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse()
    finally:
        timer.cancel()


def _place(parts: SplitResult) -> str:
    """Return what stands for a URL in a `Download`."""
    pairs = [(one.partition("=")[0].lower(), one) for one in parts.query.split("&")]
    names = dict(pairs)
    signs = "|".join(pattern for name, pattern in _SIGNED.items() if name in names)
    query = "&".join(one for name, one in pairs if not (signs and re.fullmatch(signs, name)))
    host = parts.netloc.rpartition("@")[2]
    text = parts._replace(netloc=host, query=query, fragment="").geturl()
    return hashlib.sha256(text.encode()).hexdigest()


def _check_status(url: str, response: http.client.HTTPResponse, wanted: tuple[int, ...]) -> None:
    if response.status in wanted:
        return
    reason = f"invalid response status {response.status} {response.reason}".rstrip()
    if response.status in _AGAIN:
        wait = response.headers.get("Retry-After", "")
        raise _Passing(reason, float(wait) if wait.isascii() and wait.isdecimal() else 0)
    raise _failed(url, reason)


def _checked(url: str) -> SplitResult:
    """Return the parts of a URL that may be asked for."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _failed(url, str(error)) from None
    if parts.scheme not in ("http", "https"):
        raise _failed(url, f"{parts.scheme or 'nothing'} is neither http nor https")
    if not parts.hostname or any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise _failed(url, "it is no valid URL")
    if port == 0:
        raise _failed(url, "its port is none")
    if not url.isascii():
        user, at, host = parts.netloc.rpartition("@")
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise _failed(url, "its host is no valid name") from None
        parts = parts._replace(
            netloc=quote(user, safe="%:") + at + host,
            path=quote(parts.path, safe=_SAFE),
            query=quote(parts.query, safe=_SAFE),
        )
    return parts


def _authorization(parts: SplitResult, first: SplitResult, credentials: Credentials) -> str:
    """Return the credentials for the host that is asked: those of the URL for its own host only."""
    host = parts.netloc.rpartition("@")[2]
    if (found := credentials(host)) != "":
        return found
    if (parts.scheme, host) != (first.scheme, first.netloc.rpartition("@")[2]):
        return ""
    if first.username is None:
        return ""
    # Only URLs with a user need it.
    from base64 import b64encode

    pair = f"{unquote(first.username)}:{unquote(first.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode('ascii')}"


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    """Return a connection for `parts`, by way of a proxy if the environment names one."""
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme, "")
    if proxy and not proxy_bypass(host):
        way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme == "http":
            return http.client.HTTPConnection(way.hostname or "", way.port or 80, timeout=_TIMEOUT)
        tunnel = http.client.HTTPSConnection(
            way.hostname or "", way.port or 80, timeout=_TIMEOUT, context=_tls()
        )
        tunnel.set_tunnel(host, parts.port or 443)
        return tunnel
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=_tls())
    return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)


def _path(connection: http.client.HTTPConnection, parts: SplitResult, path: str) -> str:
    """Return what is asked for: the whole URL from a proxy, else the path."""
    if parts.scheme == "http" and connection.host != parts.hostname:
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=host, fragment="").geturl()
    return path


def _tls() -> ssl.SSLContext:
    # The default context honours SSL_CERT_FILE and SSL_CERT_DIR.
    return ssl.create_default_context()


def _receive(answer: _Answer, target: int, check: Callable[[], object]) -> Download:
    """Write the body to `target`. Raises `_Passing` when it is shorter than announced."""
    response = answer.response
    expected: int | None = response.length
    running = hashlib.sha256()
    size = 0
    began = time.monotonic()
    while data := response.read1(_CHUNK):
        check()
        running.update(data)
        size += len(data)
        _write(target, data)
        if size < _SLOWEST * (time.monotonic() - began - _TIMEOUT):
            raise _Passing("the server sends next to nothing")
    if expected is not None and size != expected:
        raise _Passing(f"the body ends after {size} of {expected} bytes")
    return Download(
        digest=Digest.parse(f"sha256:{running.hexdigest()}"),
        size=size,
        modified=_seconds(response.headers.get("Last-Modified", "")),
        etag=response.headers.get("ETag", ""),
        place=answer.place,
    )


def _write(target: int, data: bytes) -> None:
    done = 0
    try:
        while done < len(data):
            done += os.write(target, memoryview(data)[done:])
    except OSError as error:
        raise StoreError(f"cannot keep a download: {error.strerror}") from error


def _seconds(text: str) -> int:
    """Return an HTTP date in seconds since the epoch, 0 for what is none."""
    try:
        return max(int(parsedate_to_datetime(text).timestamp()), 0)
    except (ValueError, TypeError, OverflowError):
        return 0


def _failed(url: str, reason: str) -> ContextError:
    return ContextError(f"failed to load {redacted(url)}: {reason}")
