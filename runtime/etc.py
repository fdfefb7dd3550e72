"""The files of /etc that a sandbox gets from outside. Pure.

In: texts of the host's files and what the user asked for. Out: texts. Source: hosts(5),
resolv.conf(5); the behaviour of the container engines.
"""

from __future__ import annotations

from runtime.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.spec import Resolver


_OWN_HOSTS = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)


def hosts(
    hostname: str, address: str, extra: Iterable[tuple[str, str]], host_text: str = ""
) -> str:
    """Return /etc/hosts; with the host's network, `host_text` is what it starts from.

    `extra` holds (name, address) pairs. `address` is the sandbox's own, if it has one.
    """
    lines = host_text.splitlines() if host_text else list(_OWN_HOSTS)
    if hostname and hostname != "localhost":
        lines.append(f"{address or '127.0.1.1'}\t{hostname}")
    for name, value in extra:
        if not name or any(character.isspace() or character == "#" for character in name):
            raise SpecError(f"{name!r} is no host name")
        lines.append(f"{_address(value)}\t{name}")
    return "\n".join(lines) + "\n"


def resolv_conf(host_text: str, resolver: Resolver, *, loopback: bool) -> str:
    """Return /etc/resolv.conf: what the resolver gives, the rest from the host.

    Servers on the host's loopback are kept only where `loopback` says it can be reached.
    """
    servers, search, options = _parse(host_text)
    if not loopback:
        servers = [server for server in servers if not _is_loopback(server)]
    lines = [f"nameserver {server}" for server in resolver.servers or servers]
    for word, values in (
        ("search", resolver.search or search),
        ("options", resolver.options or options),
    ):
        if values:
            lines.append(" ".join((word, *values)))
    return "".join(f"{line}\n" for line in lines)


def _parse(text: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = words[1:]
        elif words[0] == "options":
            options += words[1:]
    return servers, search, options


def _is_loopback(server: str) -> bool:
    return server.startswith("127.") or server == "::1"


def _address(text: str) -> str:
    import ipaddress  # only with --add-host; it costs 4 ms

    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise SpecError(f"{text!r} is no IP address") from None
