"""Values to bytes and back."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import wire
from runtime.spec import Bind, Process, RootFs, SandboxSpec, Tmpfs

TYPES = wire.named(Bind, Process, RootFs, SandboxSpec, Tmpfs)


def test_values_keep_their_types() -> None:
    value = (Tmpfs("/t"), (Bind("/a", "/b", flags=("nosuid",)),), None, b"\xff", 1.5, -1, True)
    again = wire.loads(wire.dumps(value), TYPES)
    assert again == value
    assert type(again[0]) is Tmpfs
    assert type(again[1][0]) is Bind


@settings(database=None, max_examples=50)
@given(st.recursive(st.none() | st.binary() | st.integers() | st.text(), st.lists))
def test_plain_values_survive(value: object) -> None:
    def tuples(part: object) -> object:
        return tuple(map(tuples, part)) if isinstance(part, list) else part

    wanted = tuples(value)
    assert wire.loads(wire.dumps(wanted), {}) == wanted


def test_names_that_are_no_text_survive() -> None:
    name = b"/odd-\xff\xfe".decode("utf-8", "surrogateescape")
    assert wire.loads(wire.dumps(Tmpfs(name)), TYPES).target == name


def test_a_large_value_goes_through_memory_which_is_closed_then() -> None:
    value = (Bind("/a", "/b"), b"x" * (1 << 20))
    fd = wire.in_memory(value)
    assert wire.from_memory(fd, TYPES) == value
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
