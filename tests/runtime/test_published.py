"""Published ports: what `-p` means, and the carrying."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import published
from runtime.container import Port
from runtime.errors import SandboxError, UnsupportedError
from runtime.loop import Loop


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", (Port(80),)),
        ("8080:80", (Port(80, 8080),)),
        ("8080:80/udp", (Port(80, 8080, "", "udp"),)),
        ("127.0.0.1:8080:80", (Port(80, 8080, "127.0.0.1"),)),
        ("127.0.0.1::80", (Port(80, 0, "127.0.0.1"),)),
        ("[::1]:8080:80", (Port(80, 8080, "::1"),)),
        ("8000-8001:80-81", (Port(80, 8000), Port(81, 8001))),
        ("80-81/tcp", (Port(80), Port(81))),
    ],
)
def test_forms_of_a_port(text: str, ports: tuple[Port, ...]) -> None:
    assert published.parse(text) == ports


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "0", "65536", "80:", ":", "80/sctp", "80/", "1-2:3", "9-8", "a:80", "1:2:3:4"),
        *("80-²", "9" * 5000),
    ],
    ids=lambda text: text[:9],
)
def test_what_is_no_port_is_refused(text: str) -> None:
    if text == "1:2:3:4":
        # An address may be a name as well, which shows when it is opened.
        assert published.parse(text)[0].inside == 4
        return
    with pytest.raises(SandboxError, match="invalid port"):
        published.parse(text)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(UnsupportedError, match=rf"port 127\.0\.0\.1:{number}/tcp: .*in use"):
            published.listen([Port(80, number, "127.0.0.1")])


def test_a_free_port_is_found_and_told() -> None:
    (opened,) = published.listen([Port(80, 0, "127.0.0.1")])
    assert opened.port.outside > 0
    published.close([opened])


def test_all_ports_are_closed_when_one_cannot_be_had() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = probe.getsockname()[1]
        with pytest.raises(UnsupportedError):
            published.listen([Port(1, free, "127.0.0.1"), Port(2, number, "127.0.0.1")])
        published.close(published.listen([Port(1, free, "127.0.0.1")]))


@contextmanager
def carried(kind: int) -> Iterator[tuple[socket.socket, int]]:
    """Give a socket that listens inside, and the port that is published for it."""
    with socket.socket(socket.AF_INET, kind) as inside:
        inside.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            inside.listen()
        protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
        number = inside.getsockname()[1]
        (opened,) = published.listen([Port(number, 0, "127.0.0.1", protocol)])
        loop, over = Loop(), threading.Event()

        def turn() -> None:
            while not over.is_set():
                loop.after(0.01, lambda: None)
                loop.turn()

        target = ("127.0.0.1", number)
        senders = None
        if protocol == "tcp":
            published._Accepting(loop, opened.sockets[0], target)
        else:
            senders = published._Senders(loop, opened.sockets[0], target)
        thread = threading.Thread(target=turn)
        thread.start()
        try:
            yield inside, opened.port.outside
        finally:
            over.set()
            thread.join()
            published.close([opened])
            for made, _used in () if senders is None else senders._inside.values():
                made.close()


def test_much_is_carried_both_ways_and_both_ends_end() -> None:
    data = bytes(range(256)) * 8192
    with (
        carried(socket.SOCK_STREAM) as (inside, port),
        socket.create_connection(("127.0.0.1", port)) as outer,
    ):

        def send() -> None:
            outer.sendall(data)
            outer.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        with inside.accept()[0] as inner:
            got = b"".join(iter(lambda: inner.recv(1 << 16), b""))
            inner.sendall(got[::-1])
        back = b"".join(iter(lambda: outer.recv(1 << 16), b""))
        sender.join()
    assert got == data
    assert back == data[::-1]


def test_a_connection_that_is_refused_inside_is_closed_outside() -> None:
    with carried(socket.SOCK_STREAM) as (inside, port):
        inside.close()
        with socket.create_connection(("127.0.0.1", port)) as outer:
            outer.settimeout(10)
            try:
                assert outer.recv(1) == b""
            except ConnectionResetError:
                pass


def test_datagrams_find_their_way_back() -> None:
    with (
        carried(socket.SOCK_DGRAM) as (inside, port),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outer,
    ):
        outer.settimeout(10)
        inside.settimeout(10)
        outer.sendto(b"there", ("127.0.0.1", port))
        data, sender = inside.recvfrom(100)
        inside.sendto(data + b" and back", sender)
        assert outer.recv(100) == b"there and back"


def test_neighbours_stand_at_the_end_of_a_hosts_file(tmp_path: Path) -> None:
    from runtime.neighbours import Neighbour, with_neighbours

    own = "127.0.0.1\tlocalhost\n"
    web = Neighbour("10.87.0.2", "/x", ("web", "aaa"))
    database = Neighbour("10.87.0.3", "/y", ("db",))
    assert with_neighbours(own, web.address, [web]) == own
    both = with_neighbours(own, web.address, [web, database])
    assert both == f"{own}# other containers\n10.87.0.3\tdb\n"
    assert with_neighbours(both, web.address, [web]) == f"{own}# other containers\n"
