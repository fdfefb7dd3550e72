"""Interfaces, addresses and routes, by rtnetlink.

In: names, numbers and addresses. Out: them, set in the network namespace of the calling thread.
Source: netlink(7), rtnetlink(7), linux/if_link.h, linux/veth.h.
"""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 17, 20, 24
_REQUEST, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_UP = 0x1

_LINK_ADDRESS = 1
_LINK_NAME, _LINK_MTU, _LINK_MASTER, _LINK_INFO, _LINK_NAMESPACE = 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_ADDRESS, _LOCAL_ADDRESS = 1, 2
_ROUTE_GATEWAY = 5


class Netlink:
    """A connection to the kernel; for one thread."""

    def __init__(self) -> None:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._connection = _socket.socket(_socket.AF_NETLINK, kind, 0)
        self._sequence = 0

    def add_bridge(self, name: str, mtu: int) -> None:
        """Make a bridge. Raises FileExistsError if there is such an interface."""
        info = attribute(_LINK_INFO, attribute(_INFO_KIND, b"bridge"))
        body = link() + _named(name, mtu) + info
        self._ask(_NEW_LINK, _CREATE | _EXCLUSIVE, body, name)

    def add_pair(self, name: str, peer: str, namespace: int, bridge: str, mtu: int) -> None:
        """Make a pair of interfaces: `name` here on `bridge`, `peer` in another namespace."""
        other = link() + _named(peer, mtu)
        other += attribute(_LINK_NAMESPACE, struct.pack("=I", namespace))
        data = attribute(_INFO_DATA, attribute(_VETH_PEER, other))
        info = attribute(_LINK_INFO, attribute(_INFO_KIND, b"veth") + data)
        master = struct.pack("=I", _socket.if_nametoindex(bridge))
        body = link(flags=_UP) + _named(name, mtu) + attribute(_LINK_MASTER, master) + info
        self._ask(_NEW_LINK, _CREATE | _EXCLUSIVE, body, name)

    def set_up(self, name: str) -> None:
        """Bring an interface up."""
        body = link(_socket.if_nametoindex(name), flags=_UP)
        self._ask(_NEW_LINK, 0, body, name)

    def set_mac(self, name: str, mac: str) -> None:
        """Give an interface, which is down, another hardware address."""
        raw = bytes.fromhex(mac.replace(":", ""))
        body = link(_socket.if_nametoindex(name)) + attribute(_LINK_ADDRESS, raw)
        self._ask(_NEW_LINK, 0, body, f"{name} {mac}")

    def remove(self, name: str) -> None:
        """Remove an interface."""
        self._ask(_DELETE_LINK, 0, link(_socket.if_nametoindex(name)), name)

    def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address with its network."""
        raw = _socket.inet_aton(address)
        number = _socket.if_nametoindex(name)
        body = struct.pack("=BBBBI", _socket.AF_INET, prefix, 0, 0, number)
        body += attribute(_LOCAL_ADDRESS, raw) + attribute(_ADDRESS, raw)
        self._ask(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, body, f"{name} {address}")

    def add_default_route(self, gateway: str) -> None:
        """Send what goes elsewhere to `gateway`."""
        main, boot, universe, unicast = 254, 3, 0, 1
        family = _socket.AF_INET
        body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, main, boot, universe, unicast, 0)
        body += attribute(_ROUTE_GATEWAY, _socket.inet_aton(gateway))
        self._ask(_NEW_ROUTE, _CREATE | _EXCLUSIVE, body, gateway)

    def _ask(self, kind: int, flags: int, body: bytes, about: str) -> None:
        """Send a request, and wait for its acknowledgement."""
        self._sequence += 1
        flags |= _REQUEST | _ACKNOWLEDGE
        header = struct.pack("=IHHII", 16 + len(body), kind, flags, self._sequence, 0)
        self._connection.send(header + body)
        while True:
            answer = self._connection.recv(1 << 16)
            _length, kind, _flags, sequence, _sender = struct.unpack_from("=IHHII", answer)
            if sequence == self._sequence and kind == _ERROR:
                number = -struct.unpack_from("=i", answer, 16)[0]
                if number:
                    raise OSError(number, os.strerror(number), about)
                return

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def link(number: int = 0, flags: int = 0) -> bytes:
    """Return a struct ifinfomsg; flags that are given are set, the others stay."""
    return struct.pack("=BBHiII", 0, 0, 0, number, flags, flags)


def attribute(kind: int, data: bytes) -> bytes:
    """Return a struct rtattr with its data, padded."""
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


def _named(name: str, mtu: int) -> bytes:
    named = attribute(_LINK_NAME, name.encode() + b"\0")
    return named + attribute(_LINK_MTU, struct.pack("=I", mtu))
