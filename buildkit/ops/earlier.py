"""Files of an earlier layer that a COPY would only make again: they are linked instead.

In: the op of a COPY that runs because something of what it selects has changed. Out: what finds,
for each file that it writes, the same file in the layer that the same COPY gave last time. Layers
are never written, so they can share files. Making a file costs several times what a link does; what
is linked has been read and hashed all the same, so a damaged layer passes nothing on (R2).
"""

from __future__ import annotations

import hashlib
import os
import stat

from buildkit.cache.key import key_document
from buildkit.context.descent import Descent
from buildkit.context.rows import CHUNK, open_file
from buildkit.llb.op import CopyOp
from buildkit.oci.digest import Digest
from buildkit.ops.selection import Entry
from buildkit.ops.target import Attributes
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


WORTHWHILE = 200
"""Entries of a selection from which on it pays to look for an earlier layer."""

_FIND = "SELECT diff_id FROM step WHERE instr(document, ?) ORDER BY used DESC, key LIMIT 1"
_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Earlier(NamedTuple):
    """A file that equals one that is to be made in all respects; `directory` is open.

    `inode`: its number in the layer.
    """

    directory: int
    name: str
    inode: int


def last_result(root: StateRoot, op: CopyOp) -> Digest | None:
    """Return the layer that `op` gave when it was last used, whatever it selected then."""
    document = key_document(op, ())
    fragment = document[document.index('"op":') : document.rindex(',"parts":')]
    with root.reading():
        row = root.database().execute(_FIND, (fragment,)).fetchone()
    try:
        return None if row is None else Digest.parse(row[0])
    except ValueError:
        return None


class EarlierLayer:
    """The directory `fs` of a layer, to link files from. A context manager."""

    def __init__(self, fs: str) -> None:
        self._root = os.open(fs, _ROOT)
        self._descent = Descent(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._descent.close()
        os.close(self._root)

    def find(self, path: str, entry: Entry, wanted: Attributes) -> Earlier | None:
        """Return the file at `path` if it is what a copy of `entry` would be, times included."""
        if entry.xattrs or wanted.times is None:
            return None
        above, _, name = path.rpartition("/")
        try:
            here = self._descent.go(above)
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
            if not _is_alike(found, entry, wanted) or _content(name, here) != entry.content:
                return None
        except OSError:
            return None
        return Earlier(here, name, found.st_ino)


def _is_alike(found: os.stat_result, entry: Entry, wanted: Attributes) -> bool:
    assert wanted.times is not None
    return (
        found.st_mtime_ns == wanted.times[1]
        and found.st_size == entry.size
        and found.st_mode == stat.S_IFREG | wanted.mode
        and (found.st_uid, found.st_gid) == tuple(wanted.owner)
    )


def _content(name: str, directory: int) -> str:
    """Return the sha256 of a file in hex, empty when it has attributes of its own."""
    fd = open_file(name, directory)
    try:
        if os.listxattr(fd):
            return ""
        digest = hashlib.sha256()
        while data := os.read(fd, CHUNK):
            digest.update(data)
        return digest.hexdigest()
    finally:
        os.close(fd)
