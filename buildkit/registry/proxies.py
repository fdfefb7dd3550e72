"""HTTP proxies by environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.

In: the environment, a URL's parts. Out: the proxy for them, or none. Lower-case names go before
upper-case ones; HTTP_PROXY is not looked at in a CGI program. Loopback hosts have no proxy. As in
Go's httpproxy, which the peers use.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from buildkit.errors import UsageError
from runtime.values import NamedTuple


class Proxy(NamedTuple):
    """A proxy: its URL without userinfo, which stands apart (`user:password` or empty)."""

    url: str
    userinfo: str

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def proxy_for(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for `scheme://host:port`. Raises UsageError for one that cannot be used."""
    name = f"{scheme}_proxy"
    value = environment.get(name, "") or environment.get("all_proxy", "")
    if not value and not (scheme == "http" and "REQUEST_METHOD" in environment):
        value = environment.get(name.upper(), "") or environment.get("ALL_PROXY", "")
    if not value or is_loopback(host) or _excepted(host, port, environment):
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{name.upper()} names no http proxy", hint="as in http://proxy.example:3128"
        )
    where = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    userinfo = ""
    if parts.username is not None:
        userinfo = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(f"{parts.scheme}://{where}:{parts.port or 80}", userinfo)


def is_loopback(host: str) -> bool:
    """Say whether `host` (without a port) is this very machine, by its name or number alone."""
    bare = host.strip("[]").lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _excepted(host: str, port: int, environment: Mapping[str, str]) -> bool:
    text = environment.get("no_proxy", "") or environment.get("NO_PROXY", "")
    return any(
        _matches(entry.strip().lower(), host.strip("[]").lower(), port)
        for entry in text.split(",")
        if entry.strip()
    )


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:
            return False
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isascii() and wanted.isdigit():
        if len(wanted) > 5 or int(wanted) != port:
            return False
        entry = name
    entry = entry.removeprefix("*").strip("[]")
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")
