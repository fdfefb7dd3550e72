"""Values to JSON and back, for files that outlive the pybuild that wrote them.

In: NamedTuples of known types, tuples, text, bytes, numbers. Out: JSON in which a NamedTuple is an
object that says its type. A field that a reader does not know is left out, one that the writer did
not know has its default: files of another version stay readable.
"""

from __future__ import annotations

import os

from runtime import plain_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias


Value: TypeAlias = "Any"
"""What comes out is what the types say that went in; the reader checks the outermost one."""

_TYPE = "type"
_BYTES = "base64"


def encode(value: Value) -> str:
    """Return `value` as JSON on one line."""
    return plain_json.dumps(_lower(value))


def decode(text: str | bytes, types: Mapping[str, type]) -> Value:
    """Return the value again. Raises ValueError for what is no document of ours."""
    try:
        return _raise(plain_json.loads(text), types)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a document of pybuild: {error}") from error


def write(path: str, value: Value) -> None:
    """Write `value` to a file, whole or not at all."""
    aside = f"{path}.{os.getpid()}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        data = memoryview(encode(value).encode())
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    os.rename(aside, path)


def read(path: str, types: Mapping[str, type]) -> Value:
    """Return the value in a file. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        return decode(file.read(), types)


def _lower(value: Value) -> Value:
    if isinstance(value, bytes):
        from binascii import b2a_base64  # hardly any document has bytes

        return {_TYPE: _BYTES, "data": b2a_base64(value, newline=False).decode()}
    if not isinstance(value, tuple):
        return value
    fields = getattr(value, "_fields", None)
    if fields is None:
        return [_lower(part) for part in value]
    parts = {name: _lower(part) for name, part in zip(fields, value, strict=True)}
    return {_TYPE: type(value).__name__, **parts}


def _raise(value: Value, types: Mapping[str, type]) -> Value:
    if isinstance(value, list):
        return tuple([_raise(part, types) for part in value])
    if not isinstance(value, dict):
        return value
    if value[_TYPE] == _BYTES:
        from binascii import a2b_base64  # hardly any document has bytes

        return a2b_base64(value["data"])
    kind: Any = types[value[_TYPE]]
    return kind(**{name: _raise(value[name], types) for name in kind._fields if name in value})
