"""Values to bytes and back, between processes of one pybuild.

In: NamedTuples of this package, tuples, text, bytes, numbers. Out: bytes of `marshal`, in which
a NamedTuple is a tuple that starts with a mark and its name. Both ends are the same interpreter
and trust each other; nothing from a disk or a network is ever read with this.
"""

from __future__ import annotations

import marshal
import os
import sys

from runtime.typed import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias


Value: TypeAlias = "Any"
"""A value of the kinds named above; what a reader expects, it says with `cast`."""

_MARK = "\0value"
_INT = 4
_FORMAT = 4
"""Of marshal, which every Python that we run on reads: a monitor may be older than its caller."""


def dumps(value: Value) -> bytes:
    """Return `value` as bytes."""
    return marshal.dumps(_lower(value), _FORMAT)


def loads(data: bytes, types: Mapping[str, type]) -> Value:
    """Return the value again; `types` are the NamedTuples it may hold, by name."""
    return _raise(marshal.loads(data), types)  # noqa: S302 - from our own process


def in_memory(value: Value) -> int:
    """Return a memfd that holds `value`, for what may exceed a message."""
    fd = os.memfd_create("value", os.MFD_CLOEXEC)
    view = memoryview(dumps(value))
    while view:
        view = view[os.write(fd, view) :]
    return fd


def from_memory(fd: int, types: Mapping[str, type]) -> Value:
    """Return the value in a memfd again, as `loads` does, and close it."""
    with open(fd, "rb") as file:
        file.seek(0)
        return loads(file.read(), types)


def named(*types: type) -> dict[str, type]:
    """Return a table for `loads`."""
    return {kind.__name__: kind for kind in types}


def packed(fds: Sequence[int]) -> bytes:
    """Return descriptors as SCM_RIGHTS wants them: C ints (unix(7))."""
    return b"".join([fd.to_bytes(_INT, sys.byteorder) for fd in fds])


def unpacked(data: bytes) -> list[int]:
    """Return the descriptors that SCM_RIGHTS brought."""
    starts = range(0, len(data) - _INT + 1, _INT)
    return [int.from_bytes(data[at : at + _INT], sys.byteorder) for at in starts]


def _lower(value: Value) -> Value:
    if not isinstance(value, tuple):
        return value
    parts = tuple([_lower(part) for part in value])
    if type(value) is tuple:
        return parts
    return (_MARK, type(value).__name__, *parts)


def _raise(value: Value, types: Mapping[str, type]) -> Value:
    if not isinstance(value, tuple):
        return value
    if value[:1] == (_MARK,):
        return cast("Any", types[value[1]])(*[_raise(part, types) for part in value[2:]])
    return tuple([_raise(part, types) for part in value])
