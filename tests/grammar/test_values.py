"""Durations, sizes, ports, signals and modes."""

from collections.abc import Callable

import pytest

from grammar.errors import FlagError
from grammar.values import (
    parse_bool,
    parse_chmod,
    parse_duration,
    parse_integer,
    parse_port_spec,
    parse_signal,
    parse_size,
    parse_unsigned,
)

NO_MODE = "invalid chmod parameter: '{}'. it should be octal string and between 0 and 07777"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("5ns", 5),
        ("2us", 2_000),
        ("2\u00b5s", 2_000),
        ("500ms", 500_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("-2s", -2_000_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("0.100000000000000000000000000001s", 100_000_000),
    ],
)
def test_a_duration_is_nanoseconds(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("64m", 64 << 20),
        ("1.5G", 3 << 29),
        ("2KiB", 2048),
        ("3 kb", 3072),
        ("1t", 1 << 40),
    ],
)
def test_a_size_is_bytes_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "ports", "host"),
    [
        ("80", ("80/tcp",), None),
        ("53/UDP", ("53/udp",), None),
        ("80/", ("80/tcp",), None),
        ("8000-8002/sctp", ("8000/sctp", "8001/sctp", "8002/sctp"), None),
        ("8080:80", ("80/tcp",), "8080"),
        ("127.0.0.1:8080:80/udp", ("80/udp",), "127.0.0.1:8080"),
        ("[::1]:1-2:3-4", ("3/tcp", "4/tcp"), "[::1]:1-2"),
        ("0", ("0/tcp",), None),
        ("65535", ("65535/tcp",), None),
    ],
)
def test_a_port_may_be_a_range_and_have_a_protocol(
    text: str, ports: tuple[str, ...], host: str | None
) -> None:
    spec = parse_port_spec(text)
    assert (spec.ports(), spec.host) == (ports, host)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("SIGTERM", 15),
        ("kill", 9),
        ("sigQuit", 3),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
        ("SIGWINCH", 28),
    ],
)
def test_a_signal_has_a_number(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    ("text", "before", "file", "directory"),
    [
        ("644", 0o640, 0o644, 0o644),
        ("0755", 0o640, 0o755, 0o755),
        ("07777", 0o640, 0o7777, 0o7777),
        ("u=rwX,go=rX", 0o640, 0o644, 0o755),
        ("u=rwX,go=rX", 0o700, 0o755, 0o755),
        ("+x", 0o640, 0o751, 0o751),
        ("a-w", 0o660, 0o440, 0o440),
        ("g=u", 0o640, 0o660, 0o660),
        ("u+s", 0o755, 0o4755, 0o4755),
        ("g+s,+t", 0o755, 0o3755, 0o3755),
        ("o+s", 0o755, 0o755, 0o755),
        ("o=", 0o777, 0o770, 0o770),
        ("a+X", 0o640, 0o640, 0o751),
        ("u-rwx,o+r=x", 0o747, 0o041, 0o041),
        ("=rwx", 0o4000, 0o777, 0o4777),
        ("g=rx", 0o2770, 0o750, 0o2750),
        ("g=rxs", 0o770, 0o2750, 0o2750),
    ],
)
def test_a_mode_applies_as_chmod_does(text: str, before: int, file: int, directory: int) -> None:
    mode = parse_chmod(text)
    assert oct(mode.apply(before, directory=False)) == oct(file)
    assert oct(mode.apply(before, directory=True)) == oct(directory)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_duration, "", 'time: invalid duration ""'),
        (parse_duration, "x", 'time: invalid duration "x"'),
        (parse_duration, "3", 'time: missing unit in duration "3"'),
        (parse_duration, "3d", 'time: unknown unit "d" in duration "3d"'),
        (parse_duration, ".s", 'time: invalid duration ".s"'),
        (parse_duration, "9999999999h", 'time: invalid duration "9999999999h"'),
        (parse_duration, "1s-", 'time: unknown unit "s-" in duration "1s-"'),
        (parse_bool, "yes", "not a boolean: yes"),
        (parse_integer, "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        (parse_integer, "2147483648", 'strconv.ParseInt: parsing "2147483648": value out of range'),
        (parse_size, "1x", "invalid size: '1x'"),
        (parse_size, "9999999p", "invalid size: '9999999p'"),
        (parse_port_spec, "x", "invalid containerPort: x"),
        (parse_port_spec, "65536", "invalid containerPort: 65536"),
        (parse_port_spec, "9-8", "invalid containerPort: 9-8"),
        (parse_port_spec, "1-", "invalid containerPort: 1-"),
        (parse_port_spec, "80/http", "invalid proto: http"),
        (parse_port_spec, "8080:", 'invalid port: "8080:"'),
        (parse_port_spec, "/tcp", 'invalid port: "/tcp"'),
        (parse_signal, "0", "invalid signal: 0"),
        (parse_signal, "SIGFOO", "invalid signal: SIGFOO"),
        (parse_signal, "RTMIN+31", "invalid signal: RTMIN+31"),
        (parse_chmod, "abc", NO_MODE.format("abc")),
        (parse_chmod, "10000", NO_MODE.format("10000")),
        (parse_chmod, "", NO_MODE.format("")),
        (parse_chmod, "u+rwx,", NO_MODE.format("u+rwx,")),
    ],
)  # fmt: skip
def test_a_value_that_is_none_says_so(
    parse: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(FlagError) as raised:
        parse(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(("text", "base"), [("", 8), ("8", 8), ("0x1", 10), ("1_0", 10), ("²", 10)])
def test_a_number_is_digits_only(text: str, base: int) -> None:
    with pytest.raises(FlagError):
        parse_unsigned(text, base)
