"""Connections that can be interrupted, for urllib3's pools.

In: the watch of a session and its limits. Out: a pool manager for each way of trusting a host,
with or without a proxy. urllib3 makes the connections, keeps them and speaks TLS; what is added
here is that a wait ends when the user cancels, and when an answer does not begin in time.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util import make_headers

from buildkit.errors import UsageError
from buildkit.registry.hosts import Trust
from buildkit.registry.limits import Limits
from buildkit.registry.proxies import Proxy
from buildkit.registry.watch import Guard, Watch

BLOCK = 256 << 10
"""Bytes received at a time."""

_POOLS = 16
_KEPT = 8


def manager(watch: Watch, limits: Limits, trust: Trust, proxy: Proxy | None) -> urllib3.PoolManager:
    """Return a manager whose connections `watch` watches over."""
    plain, secure = _pools(watch, limits)
    arguments: dict[str, Any] = {
        "num_pools": _POOLS,
        "maxsize": _KEPT,
        "block": False,
        "blocksize": BLOCK,
        "retries": False,
        "ssl_context": _context(trust),
        "cert_reqs": "CERT_REQUIRED" if trust.verify else "CERT_NONE",
    }
    if not trust.verify:
        urllib3.disable_warnings(InsecureRequestWarning)
    if proxy is None:
        found = urllib3.PoolManager(**arguments)
    else:
        headers = make_headers(proxy_basic_auth=proxy.userinfo) if proxy.userinfo else None
        found = urllib3.ProxyManager(proxy.url, proxy_headers=headers, **arguments)
    found.pool_classes_by_scheme = {"http": plain, "https": secure}
    return found


def _pools(
    watch: Watch, limits: Limits
) -> tuple[type[urllib3.HTTPConnectionPool], type[urllib3.HTTPSConnectionPool]]:
    """Return the two kinds of pool, whose connections know `watch`."""

    class Plain(_Watched, HTTPConnection):
        the_watch = watch
        the_limits = limits

    class Secure(_Watched, HTTPSConnection):
        the_watch = watch
        the_limits = limits

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return PlainPool, SecurePool


class _Watched:
    """What is common to both kinds of connection; stands before urllib3's class."""

    the_watch: Watch
    the_limits: Limits
    guard: Guard | None = None
    sock: socket.socket | None
    timeout: float | None
    answer_within = 0.0

    def _new_conn(self) -> socket.socket:
        made = self.the_watch.connected(super()._new_conn)  # type: ignore[misc]
        self.guard = self.the_watch.guard(made)
        # A handshake is as long as the connection itself at most.
        self.guard.expect(self.the_limits.connect)
        return made

    def connect(self) -> None:
        self._in_time(super().connect, None)  # type: ignore[misc]
        self._allow_sending()

    def request(self, method: str, *arguments: object, **options: object) -> None:
        limits = self.the_limits
        self.answer_within = limits.commit if method == "PUT" else limits.header
        if self.sock is not None:
            self.timeout = limits.stall
        super().request(method, *arguments, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:  # noqa: ANN401 - urllib3's, untouched
        return self._in_time(super().getresponse, self.answer_within)  # type: ignore[misc]

    def close(self) -> None:
        guard, self.guard = self.guard, None
        if guard is not None:
            guard.close()
        super().close()  # type: ignore[misc]

    def _allow_sending(self) -> None:
        """Give each block that is sent its own time, not that for connecting."""
        self.timeout = self.the_limits.stall
        if self.sock is not None:
            self.sock.settimeout(self.timeout)

    def _in_time(self, work: Callable[[], object], seconds: float | None) -> object:
        """Do `work` under the guard; what ended because the guard cut it is a TimeoutError."""
        if self.guard is not None and seconds is not None:
            self.guard.expect(seconds)
        try:
            return work()
        except Exception:
            if self.guard is not None and self.guard.late:
                raise TimeoutError("overdue") from None
            raise
        finally:
            if self.guard is not None:
                self.guard.done()


def _context(trust: Trust) -> ssl.SSLContext:
    """Return how TLS is spoken; SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own variables."""
    context = ssl.create_default_context()
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for authority in trust.authorities:
        try:
            if os.path.isdir(authority):
                context.load_verify_locations(capath=authority)
            else:
                context.load_verify_locations(cafile=authority)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "no certificate in it"
            raise UsageError(f"the certificate file {authority} is of no use: {reason}") from error
    if trust.certificate:
        try:
            context.load_cert_chain(trust.certificate, trust.key or None)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"the client certificate {trust.certificate}: {error}") from error
    return context
