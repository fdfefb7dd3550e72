"""Output `tar`: the final file system as one tar, written as layers are.

In: a descriptor of the merged tree. Out: a stream; owners, modes, times and links are the image's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from types import MappingProxyType

from buildkit.content.streams import Sink
from buildkit.exporter.tar_writer import BLOCK
from buildkit.snapshot.layer import LayerWriter
from buildkit.tree.entry import Entry
from buildkit.tree.walk import walk

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Trees:
    """A tar of several trees, each below a directory of its own."""

    def __init__(self, sink: Sink) -> None:
        self._writer = LayerWriter(sink)
        self._number = 0

    def add(self, root_fd: int | None, directory: str, besides: Mapping[str, bytes]) -> None:
        """Write the tree in `root_fd` below `directory`; empty: below none."""
        self._number += 1
        prefix = os.fsencode(f"{directory}/" if directory else "")
        if directory:
            entry = Entry(prefix[:-1], stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0, None, b"", ())
            self._writer.add(entry, -1)
        if root_fd is not None:
            for entry, fd in walk(root_fd):
                if entry.path:
                    # Two trees may use one device number, the second when the first is closed.
                    inode = entry.inode and (self._number << 64 | entry.inode[0], entry.inode[1])
                    self._writer.add(entry._replace(path=prefix + entry.path, inode=inode), fd)
        for name, data in besides.items():
            _add(self._writer, os.fsdecode(prefix) + name, data)

    def finish(self) -> None:
        """Write the end of the tar."""
        self._writer.finish()


def export_tar(root_fd: int | None, sink: Sink, besides: Mapping[str, bytes] = _NOTHING) -> None:
    """Write the tar of the tree in `root_fd` (None: an empty one), and of files `besides`."""
    if root_fd is None and not besides:
        sink(bytes(2 * BLOCK))
        return
    writer = LayerWriter(sink)
    if root_fd is not None:
        for entry, fd in walk(root_fd):
            if entry.path:
                writer.add(entry, fd)
    for name, data in besides.items():
        _add(writer, name, data)
    writer.finish()


def _add(writer: LayerWriter, name: str, data: bytes) -> None:
    memory = os.memfd_create(name, os.MFD_CLOEXEC)
    with open(memory, "r+b") as file:
        file.write(data)
        file.seek(0)
        mode = stat.S_IFREG | 0o644
        writer.add(
            Entry(os.fsencode(name), mode, 0, 0, len(data), 0, 0, None, b"", ()), file.fileno()
        )
