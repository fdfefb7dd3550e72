"""What a step prints, without the values of the secrets it was given (guarantee S26).

In: bytes in pieces of any size. Out: the same bytes, `***` in place of a secret, also of one that
came in two pieces: a line is passed on when its end is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildkit.content.streams import Sink
from buildkit.ops.secret_forms import SHORTEST, needles

MASK = b"***"

_SHORTEST = 4
"""Bytes; a shorter value would be found in half of all words."""

_PIECE = 1024
"""Bytes of a secret that are looked for at once."""

_LONG_LINE = 64 << 10
"""Bytes after which a line is passed on before its end, but for what may begin a secret."""


class Masking:
    """Writes to `sink` what is fed to it, masked. `finish` it."""

    def __init__(self, values: Iterable[bytes], sink: Sink) -> None:
        words = {word for value in values for word in _words(value)}
        # The longest first: one may hold another.
        self._words = sorted(words, key=len, reverse=True)
        self._sink = sink
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        whole = self._masked(self._held + data)
        end = max(whole.rfind(b"\n"), whole.rfind(b"\r")) + 1
        if len(whole) - end > _LONG_LINE:
            end = len(whole) - _PIECE
        self._held = whole[end:]
        if end:
            self._sink(whole[:end])

    def finish(self) -> None:
        """Write what was held back."""
        held, self._held = self._held, b""
        if held:
            self._sink(held)

    def _masked(self, data: bytes) -> bytes:
        for word in self._words:
            data = data.replace(word, MASK)
        return data


def _words(value: bytes) -> Iterable[bytes]:
    """Yield what to mask: each line of the value, and the forms that are searched for."""
    for line in map(bytes.strip, value.splitlines()):
        yield from _pieces(line, _SHORTEST)
    for form in needles(value):
        for line in form.splitlines():  # of base64(1), of which each may come by itself
            yield from _pieces(line, SHORTEST)


def _pieces(line: bytes, shortest: int) -> Iterable[bytes]:
    for start in range(0, len(line), _PIECE):
        if len(piece := line[start : start + _PIECE]) >= shortest:
            yield piece
