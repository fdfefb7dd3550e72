"""Keys that leave a container, wherever they fall."""

import pytest

from runtime.errors import SandboxError
from runtime.foreground import Keys, parse_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-@", b"\0"),
        ("ctrl-[,x", b"\x1bx"),
        ("", b""),
    ],
)
def test_forms_of_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "hello", "ctrl-pp"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(SandboxError, match="invalid key"):
        parse_keys(text)


@pytest.mark.parametrize(
    ("typed", "passed", "left"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x10"], b"", False),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_keys_are_found_in_what_is_typed(typed: list[bytes], passed: bytes, left: bool) -> None:
    keys = Keys(b"\x10\x11")
    assert b"".join(map(keys.filter, typed)) == passed
    assert keys.left == left


def test_without_keys_everything_passes() -> None:
    keys = Keys(b"")
    assert keys.filter(b"\x10\x11") == b"\x10\x11"
    assert not keys.left
