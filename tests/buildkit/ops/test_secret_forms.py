"""What gives a secret away, and how it is found in a stream."""

import base64
import json
from urllib.parse import quote

import pytest

from buildkit.ops.secret_forms import Search, needles

VALUE = b"hunter2/super+secret&42"
KEY = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
    b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    b"QyNTUxOQAAACB6Vqk3bGq1dQm5Hn0c4t8\n-----END OPENSSH PRIVATE KEY-----\n"
)


@pytest.mark.parametrize(
    "data",
    [
        VALUE,
        b"TOKEN=" + VALUE + b"\n",
        quote(VALUE.decode(), safe="").encode(),
        *(base64.b64encode(b"x" * before + VALUE + b"yz") for before in range(4)),
        base64.urlsafe_b64encode(b"user:" + VALUE),
    ],
)
def test_a_value_is_found_in_each_of_its_forms(data: bytes) -> None:
    assert Search({"a": b"something-else-1", "t": VALUE + b"\n"}).once(data) == "t"


@pytest.mark.parametrize("line", [64, 76])
@pytest.mark.parametrize("size", [49, 58, 900, 3000])
def test_a_long_value_is_found_in_lines_of_base64(size: int, line: int) -> None:
    value = b"".join(b"%03d-" % number for number in range(1000))[:size]
    encoded = base64.b64encode(value + b"\n")
    lines = [encoded[at : at + line] for at in range(0, len(encoded), line)]
    assert Search({"t": value}).once(b"key: |\n" + b"\n".join(lines) + b"\n") == "t"


def test_quotes_in_json_do_not_hide_a_value() -> None:
    value = 'say "hunter2" \\ ünd'
    search = Search({"q": value.encode()})
    assert search.once(json.dumps({"k": value}).encode()) == "q"
    assert search.once(json.dumps({"k": value}, ensure_ascii=False).encode()) == "q"


@pytest.mark.parametrize("value", [b"", b"hunter2", b" hunter2\n", b"postgres", b"12345678901"])
def test_what_would_be_found_by_accident_is_not_searched(value: bytes) -> None:
    assert needles(value) == ()
    assert not Search({"s": value})


def test_of_several_lines_what_looks_random_is_searched() -> None:
    search = Search(
        {"key": KEY, "npmrc": b"registry=https://registry.npmjs.org/\ntoken=npm_a1b2c3d4e5f6"}
    )
    assert search.once(KEY.splitlines()[1]) == "key"
    assert search.once(b"x npm_a1b2c3d4e5f6") is None
    assert search.once(b"token=npm_a1b2c3d4e5f6") == "npmrc"
    assert search.once(b"-----BEGIN OPENSSH PRIVATE KEY-----\n") is None
    assert search.once(b"registry=https://registry.npmjs.org/\n") is None


@pytest.mark.parametrize("cut", [1, 2, 7, len(VALUE) - 1, len(VALUE), 100])
def test_a_value_is_found_however_the_stream_is_cut(cut: int) -> None:
    data = b"." * 33 + VALUE + b"." * 33
    search = Search({"t": VALUE})
    search.start()
    found = [search.feed(data[at : at + cut]) for at in range(0, len(data), cut)]
    assert "t" in found
    search.start()
    assert search.feed(VALUE[10:]) is None
    search.start()
    assert search.feed(VALUE[:10]) is None
    search.start()
    assert search.feed(VALUE[10:]) is None
