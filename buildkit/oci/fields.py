"""JSON from outside, read with its path: typed getters, and the encoder for what goes out.

In: bytes of a document. Out: `Fields`, whose getters give a value of the right type or raise
`DocumentError` naming the place (`manifest.layers[2].size`). Unknown members are let through,
as the specifications demand; null counts as absent, as in Go. Going out, `encode` writes what
Go's encoding/json writes, so that equal documents have equal digests whoever made them.
Limits: docs/security.md, S20.
"""

from __future__ import annotations

from buildkit.errors import ImageError
from buildkit.oci.digest import Digest
from runtime import plain_json
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


MAX_DOCUMENT = 8 << 20
"""Bytes of the largest manifest, index or config that is read."""

_HTML = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)


class DocumentError(ImageError):
    """A document is not what its kind demands; the message begins with a path into it."""


class Fields(NamedTuple):
    """One JSON object and the path that leads to it."""

    data: dict[str, Any]
    path: str

    @classmethod
    def parse(cls, data: bytes, name: str) -> Fields:
        """Return the object that the JSON text `data` holds; `name` begins every error's path."""
        if len(data) > MAX_DOCUMENT:
            raise DocumentError(f"{name}: larger than {MAX_DOCUMENT >> 20} MiB")
        try:
            value = plain_json.loads(data, parse_constant=_refuse_constant)
        except RecursionError:
            raise DocumentError(f"{name}: nested too deeply") from None
        except ValueError as error:
            raise DocumentError(f"{name}: not JSON: {error}") from None
        if not isinstance(value, dict):
            raise DocumentError(f"{name}: not an object")
        return cls(value, name)

    def text(self, key: str, default: str | None = None) -> str:
        """Return the string at `key`; without a default it must be there."""
        value = self._value(key)
        if value is None and default is not None:
            return default
        return _text(value, f"{self.path}.{key}")

    def integer(self, key: str, default: int | None = None) -> int:
        """Return the 64-bit integer at `key`; without a default it must be there."""
        value = self._value(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise DocumentError(f"{self.path}.{key}: not an integer")
        if not -(1 << 63) <= value < 1 << 63:
            raise DocumentError(f"{self.path}.{key}: out of range")
        return value

    def size(self, key: str) -> int:
        """Return the number of bytes at `key`."""
        value = self.integer(key)
        if value < 0:
            raise DocumentError(f"{self.path}.{key}: negative")
        return value

    def boolean(self, key: str) -> bool:
        """Return the truth value at `key`, False when absent."""
        value = self._value(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise DocumentError(f"{self.path}.{key}: not true or false")
        return value

    def digest(self, key: str) -> Digest:
        """Return the sha256 digest at `key`."""
        return parse_digest(self.text(key), f"{self.path}.{key}")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the array of strings at `key`, empty when absent."""
        return tuple(_text(item, path) for path, item in self._items(key))

    def digests(self, key: str) -> tuple[Digest, ...]:
        """Return the array of digests at `key`, empty when absent."""
        return tuple(parse_digest(_text(item, path), path) for path, item in self._items(key))

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return the object of strings at `key` in its order, empty when absent."""
        found = self.object(key)
        if found is None:
            return ()
        return tuple(
            (_text(name, found.path), _text(value, f"{found.path}.{name}"))
            for name, value in found.data.items()
        )

    def names(self, key: str) -> tuple[str, ...]:
        """Return the sorted member names of the object at `key` (Go's `map[string]struct{}`)."""
        found = self.object(key)
        return () if found is None else tuple(sorted(_text(n, found.path) for n in found.data))

    def object(self, key: str) -> Fields | None:
        """Return the object at `key`, None when absent."""
        value = self._value(key)
        return None if value is None else _object(value, f"{self.path}.{key}")

    def objects(self, key: str) -> tuple[Fields, ...]:
        """Return the array of objects at `key`, empty when absent."""
        return tuple(_object(item, path) for path, item in self._items(key))

    def _value(self, key: str) -> Any:  # noqa: ANN401 - JSON; every caller checks the type
        return self.data.get(key)

    def _items(self, key: str) -> Iterator[tuple[str, Any]]:
        value = self._value(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise DocumentError(f"{self.path}.{key}: not an array")
        for number, item in enumerate(value):
            yield f"{self.path}.{key}[{number}]", item


def parse_digest(text: str, path: str) -> Digest:
    """Return `text` as a digest; `path` is what an error names."""
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise DocumentError(f"{path}: {error}") from None


def encode(document: dict[str, Any]) -> bytes:
    """Return `document` as Go's encoder writes it: compact, in the order given, HTML escaped.

    A byte that is not UTF-8 becomes U+FFFD, as in Go.
    """
    text = plain_json.dumps(document, ascii_only=False).translate(_HTML)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if _is_surrogate(char) else char for char in text).encode()


def _text(value: Any, path: str) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        raise DocumentError(f"{path}: {'missing' if value is None else 'not a string'}")
    if not value.isascii() and any(map(_is_surrogate, value)):
        raise DocumentError(f"{path}: half a surrogate pair")
    return value


def _is_surrogate(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"


def _object(value: Any, path: str) -> Fields:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        raise DocumentError(f"{path}: not an object")
    return Fields(value, path)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
