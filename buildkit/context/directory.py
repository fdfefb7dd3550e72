"""A directory as a scan found it; its rows may still lie folded up in the bytes a scanner sent.

In: an open directory, or such bytes. Out: rows and attributes when they are asked for, and without
unfolding anything what a rebuild with no change needs: which directories are in it, a fingerprint
of all the rest, and when the newest change was.
"""

from __future__ import annotations

import marshal
import stat

from buildkit.context.rows import Row, Xattrs, read_rows, read_xattrs
from buildkit.oci.digest import sha256_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self, TypeAlias


_Content: TypeAlias = tuple[tuple[Row, ...], Xattrs]

Folded: TypeAlias = tuple[tuple[str, ...], int, bytes, bytes]
"""Subdirectories, newest change, fingerprint, and `marshal`led rows and attributes."""


class Directory:
    """See the module. `subdirectories` are in order; `newest`: a change time in ns, 0 for none."""

    __slots__ = ("_content", "_fingerprint", "_folded", "newest", "subdirectories")

    def __init__(self, subdirectories: tuple[str, ...], newest: int) -> None:
        self.subdirectories = subdirectories
        self.newest = newest
        self._content: _Content | None = None
        self._folded = b""
        self._fingerprint = b""

    @classmethod
    def read(cls, fd: int) -> Self:
        """Read the open directory `fd`. Raises OSError."""
        rows = read_rows(fd)
        found = cls(
            tuple(row[0] for row in rows if stat.S_ISDIR(row[1])),
            max((row[4] for row in rows), default=0),
        )
        found._content = (rows, read_xattrs(fd))
        return found

    @classmethod
    def unfold(cls, folded: Folded) -> Self:
        """Return what another process folded."""
        subdirectories, newest, fingerprint, content = folded
        found = cls(subdirectories, newest)
        found._fingerprint = fingerprint
        found._folded = content
        return found

    def fold(self) -> Folded:
        """Return this directory in values that `marshal` takes."""
        data = self._folded or _dump(self._unfolded())
        self._fingerprint = self._fingerprint or sha256_of(data).digest()
        return self.subdirectories, self.newest, self._fingerprint, data

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows in order."""
        return self._unfolded()[0]

    @property
    def xattrs(self) -> Xattrs:
        """The directory's own extended attributes."""
        return self._unfolded()[1]

    @property
    def fingerprint(self) -> bytes:
        """A sha256 of rows and attributes: equal means that no stat shows a difference."""
        if not self._fingerprint:
            self._fingerprint = sha256_of(_dump(self._unfolded())).digest()
        return self._fingerprint

    def _unfolded(self) -> _Content:
        if self._content is None:
            self._content = marshal.loads(self._folded)  # noqa: S302 - of our own child
            self._folded = b""
        return self._content


def _dump(content: _Content) -> bytes:
    # Version 2 writes the same bytes for the same values; later ones look at references.
    return marshal.dumps(content, 2)
