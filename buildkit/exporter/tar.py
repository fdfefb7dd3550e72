"""Output `tar`: the final file system as one tar, written as layers are.

In: a descriptor of the merged tree. Out: a stream; owners, modes, times and links are the image's.
"""

from buildkit.content.streams import Sink
from buildkit.exporter.tar_writer import BLOCK
from buildkit.snapshot.layer import LayerWriter
from buildkit.tree.walk import walk


def export_tar(root_fd: int | None, sink: Sink) -> None:
    """Write the tar of the tree in `root_fd` (None: an empty one)."""
    if root_fd is None:
        sink(bytes(2 * BLOCK))
        return
    writer = LayerWriter(sink)
    for entry, fd in walk(root_fd):
        if entry.path:
            writer.add(entry, fd)
    writer.finish()
