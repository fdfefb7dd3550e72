"""Published ports: connections to the host, carried to the same container's ports.

In: ports, and the network namespace of a container. Out: sockets that listen on the host, and a
process that carries what comes in. It enters the container's namespace for the connections it
makes, so it needs no rules of a firewall, works for loopback, and is the same for root and users.
UDP: each sender is remembered for as long as something comes from it or back.
"""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums
import errno
import os
import time

from runtime import process, syscalls
from runtime.container import Port
from runtime.errors import SandboxError, UnsupportedError
from runtime.loop import READ, WRITE, Loop
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


_accept = _socket.socket._accept  # type: ignore[attr-defined]  # noqa: SLF001 - its plain name
_BLOCK = 64 << 10
_IDLE = 90.0
_MOST_SENDERS = 1024
_DIGITS = 10
_HIGHEST = 65535


class Listening(NamedTuple):
    """A port with the number it got, and the sockets on which it is open."""

    port: Port
    sockets: tuple[_socket.socket, ...]


def listen(ports: Sequence[Port]) -> list[Listening]:
    """Open all ports on the host. Raises UnsupportedError naming the one that cannot be had."""
    made: list[Listening] = []
    try:
        made.extend(map(_listen, ports))
    except UnsupportedError:
        close(made)
        raise
    return made


def close(listening: Sequence[Listening]) -> None:
    """Close what is open."""
    for one in listening:
        for opened in one.sockets:
            opened.close()


def carry(listening: Sequence[Listening], namespace: int, address: str) -> int:
    """Fork the process that carries; return its number. `address`: of the container, or empty."""
    pid = os.fork()
    if pid == 0:
        try:
            process.reset_signals()
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
            # What else the monitor has open ends with the monitor.
            process.close_all_but({s.fileno() for one in listening for s in one.sockets})
            _serve(listening, address or "127.0.0.1")
        finally:
            os._exit(0)
    return pid


def _listen(port: Port) -> Listening:
    """Open one port: on all addresses, of both families, unless it names one."""
    sockets: list[_socket.socket] = []
    families = [(_family(port.address), port.address)]
    if not port.address:
        families = [(_socket.AF_INET, "0.0.0.0"), (_socket.AF_INET6, "::")]  # noqa: S104 - asked for
    for family, address in families:
        try:
            made = _open(port, family, address)
        except OSError as error:
            if sockets and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                # A host without IPv6.
                continue
            for opened in sockets:
                opened.close()
            raise _refusal(port, error) from error
        sockets.append(made)
        port = port._replace(outside=made.getsockname()[1])
    return Listening(port, tuple(sockets))


def _family(address: str) -> int:
    return _socket.AF_INET6 if ":" in address else _socket.AF_INET


def _open(port: Port, family: int, address: str) -> _socket.socket:
    kind = _socket.SOCK_STREAM if port.protocol == "tcp" else _socket.SOCK_DGRAM
    made = _socket.socket(family, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        if family == _socket.AF_INET6:
            made.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if port.protocol == "tcp":
            made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        made.bind((address, port.outside))
        if port.protocol == "tcp":
            made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def _refusal(port: Port, error: OSError) -> UnsupportedError:
    hints = {
        errno.EADDRINUSE: "another program listens there; publish another port of the host",
        errno.EACCES: "ports below net.ipv4.ip_unprivileged_port_start are root's",
        errno.EADDRNOTAVAIL: "no interface of the host has this address",
    }
    where = f"{port.address or '*'}:{port.outside}/{port.protocol}"
    reason = (error.strerror or str(error)).lower()
    return UnsupportedError(f"port {where}", reason, hint=hints.get(error.errno or 0, ""))


def _serve(listening: Sequence[Listening], address: str) -> NoReturn:
    loop = Loop()
    for one in listening:
        for opened in one.sockets:
            target = (address, one.port.inside)
            if one.port.protocol == "tcp":
                _Accepting(loop, opened, target)
            else:
                _Senders(loop, opened, target)
    while True:
        loop.turn()


class _Accepting:
    """A socket that listens."""

    def __init__(self, loop: Loop, listening: _socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listening = listening
        self._target = target
        loop.watch(listening.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            fd, _address = _accept(self._listening)
        except OSError:
            return
        outside = _socket.socket(self._listening.family, _socket.SOCK_STREAM, 0, fd)
        outside.setblocking(False)  # noqa: FBT003 - the only way to say it
        inside = _socket.socket(
            _family(self._target[0]),
            _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK,
        )
        inside.connect_ex(self._target)
        _Carried(self._loop, outside, inside)


class _Carried:
    """A connection in two halves; each end is closed for writing when the other has ended."""

    def __init__(self, loop: Loop, outside: _socket.socket, inside: _socket.socket) -> None:
        self._loop = loop
        self._ends = (outside, inside)
        self._waiting = [b"", b""]
        """What is still to be written to each end."""
        self._ended = [False, False]
        """Whether each end will send no more."""
        self._shut = [False, False]
        self._connected = False
        self._watch()

    def _watch(self) -> None:
        for number, end in enumerate(self._ends):
            events = 0
            if not self._connected:
                events = WRITE if number else 0
            else:
                if not self._ended[number] and not self._waiting[1 - number]:
                    events |= READ
                if self._waiting[number]:
                    events |= WRITE
            self._loop.watch(end.fileno(), self._turn, events)

    def _turn(self) -> None:
        try:
            if not self._connected:
                failure = self._ends[1].getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
                if failure:
                    raise OSError(failure, os.strerror(failure))
                self._connected = True
            for number in (0, 1):
                self._flush(number)
                self._fill(number)
        except OSError:
            self._close()
            return
        if all(self._shut):
            self._close()
        else:
            self._watch()

    def _fill(self, number: int) -> None:
        """Read from an end, and write to the other."""
        other = 1 - number
        if self._ended[number] or self._waiting[other]:
            return
        try:
            data = self._ends[number].recv(_BLOCK)
        except BlockingIOError:
            return
        self._ended[number] = not data
        self._waiting[other] = data
        self._flush(other)

    def _flush(self, number: int) -> None:
        if self._waiting[number]:
            try:
                sent = self._ends[number].send(self._waiting[number], _socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            self._waiting[number] = self._waiting[number][sent:]
        if not self._waiting[number] and self._ended[1 - number] and not self._shut[number]:
            self._shut[number] = True
            self._ends[number].shutdown(_socket.SHUT_WR)

    def _close(self) -> None:
        for end in self._ends:
            self._loop.forget(end.fileno())
            end.close()


class _Senders:
    """A UDP port, and a socket inside for each sender."""

    def __init__(self, loop: Loop, outside: _socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._outside = outside
        self._target = target
        self._inside: dict[tuple[str, int], tuple[_socket.socket, float]] = {}
        loop.watch(outside.fileno(), self._come)
        loop.after(_IDLE, self._forget_idle)

    def _come(self) -> None:
        try:
            data, sender = self._outside.recvfrom(_HIGHEST)
            found = self._inside.get(sender)
            if found is None:
                if len(self._inside) >= _MOST_SENDERS:
                    return
                inside = self._new(sender)
            else:
                inside = found[0]
            self._inside[sender] = (inside, time.monotonic())
            inside.send(data)
        except OSError:
            # A datagram may be lost at any time.
            return

    def _new(self, sender: tuple[str, int]) -> _socket.socket:
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        inside = _socket.socket(_family(self._target[0]), kind)
        inside.connect(self._target)

        def go_back() -> None:
            try:
                self._outside.sendto(inside.recv(_HIGHEST), sender)
                self._inside[sender] = (inside, time.monotonic())
            except OSError:
                return

        self._loop.watch(inside.fileno(), go_back)
        return inside

    def _forget_idle(self) -> None:
        limit = time.monotonic() - _IDLE
        for sender, (inside, used) in list(self._inside.items()):
            if used < limit:
                del self._inside[sender]
                self._loop.forget(inside.fileno())
                inside.close()
        self._loop.after(_IDLE, self._forget_idle)


def parse(text: str) -> tuple[Port, ...]:
    """Parse `[ip:][host:]container[/proto]`, where both may be ranges `8000-8010`.

    Raises SandboxError with the form as its hint.
    """
    rest, slash, protocol = text.partition("/")
    if protocol not in ("tcp", "udp", "") or (slash and not protocol):
        raise _malformed(text, "the protocol is tcp or udp")
    head, _, inside = rest.rpartition(":")
    address, colon, outside = head.rpartition(":")
    if head.startswith("[") and not head.endswith("]"):
        address = address.removeprefix("[").removesuffix("]")
    elif not colon:
        address = ""
    inner = _range(inside, text)
    outer = _range(outside, text) if outside else range(0)
    if outer and len(outer) != len(inner):
        raise _malformed(text, "the ranges have different lengths")
    kind = "udp" if protocol == "udp" else "tcp"
    return tuple(
        Port(number, outer[place] if outer else 0, address, "udp" if kind == "udp" else "tcp")
        for place, number in enumerate(inner)
    )


def _range(text: str, whole: str) -> range:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not all(end.isascii() and end.isdigit() for end in (first, last)):
        raise _malformed(whole, "the form is [IP:][HOST:]CONTAINER[/tcp|udp]")
    # Digits beyond those of a port change nothing: it is none.
    found = range(int(first[:_DIGITS]), int(last[:_DIGITS]) + 1)
    if not found or found[0] < 1 or found[-1] > _HIGHEST:
        raise _malformed(whole, "ports are from 1 to 65535")
    return found


def _malformed(text: str, hint: str) -> SandboxError:
    return SandboxError(f"invalid port {text!r}", hint=hint)
