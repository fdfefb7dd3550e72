"""A layer tar from elsewhere becomes a layer directory, ready to be installed.

In: a stream that may be anything. Out: the directory with its tree and signs, and what the tar
was called by its sha256. See `unpack.py` for what is refused.
"""

from __future__ import annotations

import os

from buildkit.content.streams import Reader
from buildkit.errors import disk_error
from buildkit.oci.digest import Digest
from buildkit.snapshot import rootdir
from buildkit.snapshot.hashing import HashingReader
from buildkit.snapshot.layers import make_sign
from buildkit.snapshot.unpack import unpack_layer
from runtime.values import NamedTuple


class Foreign(NamedTuple):
    """An unpacked layer; `size` of its tar in bytes."""

    diff_id: Digest
    size: int
    files: int


def unpack_foreign(layer: Reader, directory: str) -> Foreign:
    """Make `directory` from the tar; what is there after an error is the caller's to remove.

    Raises ImageError for the tar, StoreError for the disk, and what reading raises.
    """
    source = HashingReader(layer)
    upper = f"{directory}/fs"
    try:
        for path in (directory, upper):
            os.mkdir(path, 0o700)
        rootdir.write(upper, rootdir.PLAIN)
        fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with source:
                unpacked = unpack_layer(source, fd)
                diff_id = source.digest()
        finally:
            os.close(fd)
        if unpacked.has_root:
            make_sign(directory, "root")
        if unpacked.hides:
            make_sign(directory, "hides")
        if unpacked.deletes:
            make_sign(directory, "deletes", unpacked.deletes)
        if unpacked.implied:
            make_sign(directory, "implied", unpacked.implied)
    except OSError as error:
        if error is source.failure:
            raise
        raise disk_error(error, directory) from error
    return Foreign(diff_id, source.size, unpacked.files)
