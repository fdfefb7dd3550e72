"""Digests. Source: image-spec descriptor.md, "Digests"; sha256 only."""

from __future__ import annotations

from runtime.typed import NewType

try:  # the plain modules: `hashlib` loads all of OpenSSL, 2 ms, for documents of some kilobytes
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash
    from typing import Self

Fingerprint = NewType("Fingerprint", str)
"""xxh3-128 in hex: fast and not collision-proof, so it never names a blob nor decides alone."""

_LARGE = 1 << 19
"""Bytes from which on OpenSSL, which knows the processor's own instructions, is worth loading."""

_hashed = 0


def is_hex(text: str, shortest: int = 64) -> bool:
    """Whether `text` is `shortest` to 64 lower-case hex digits, by default all of a digest's."""
    return shortest <= len(text) <= 64 and not text.strip("0123456789abcdef")


def hasher(size: int | None) -> _Hash:
    """Return a new SHA-256 state for `size` bytes, which may be unknown."""
    if size is not None and size < _LARGE:
        small: _Hash = sha256()
        return small
    import hashlib  # loads OpenSSL

    return hashlib.sha256()


def sha256_of(data: bytes) -> _Hash:
    """Return the SHA-256 state that has taken `data`.

    All that is hashed by it counts: from `_LARGE` bytes on OpenSSL pays for itself.
    """
    global _hashed  # noqa: PLW0603 - of this process; threads may lose a few bytes of it
    _hashed += len(data)
    state = hasher(_hashed)
    state.update(data)
    return state


class Digest(str):
    """A sha256 content address in its wire form, `sha256:` and 64 lower-case hex digits.

    A `str`, so that it is a JSON value, a dictionary key and a database value as it stands.
    Made by `parse` or `of` only: one that exists is well-formed, which is what makes `hex`
    safe to use as a file name.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a digest. Raises ValueError when it is not one."""
        if not (text.startswith("sha256:") and is_hex(text[7:])):
            raise ValueError(f"not a sha256 digest: {text!r}")
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the digest of `data`."""
        return cls("sha256:" + sha256(data).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 hex digits."""
        return self[7:]
