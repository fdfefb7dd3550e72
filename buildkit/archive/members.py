"""The parts of an image archive by name, wherever they lie: a tar file or a directory.

In: a path, or standard input. Out: `Members`. A tar that is compressed or cannot be sought in is
first written to a temporary file below the state root; memory does not grow with it. Links in a
directory are not followed (docs/security.md, S20).
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping

from buildkit.archive.tar_index import Place, read_index, resolved
from buildkit.content.streams import CHUNK, Reader
from buildkit.errors import ImageError, disk_error
from buildkit.snapshot.compression import DecompressingReader, Format, detect
from buildkit.state.root import StateRoot
from runtime.typed import Protocol
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


STDIN = "-"


class Members(Protocol):
    """The parts. `name` is what errors call the whole; part names have no leading slash."""

    name: str

    def has(self, part: str) -> bool:
        """Say whether there is such a part."""
        ...

    def size(self, part: str) -> int:
        """Return the part's size in bytes. Raises ImageError when there is none."""
        ...

    def opened(self, part: str) -> contextlib.AbstractContextManager[Reader]:
        """Give the part's content. Raises ImageError when there is none."""
        ...


def read_whole(members: Members, part: str, limit: int) -> bytes:
    """Return the content of a small part. Raises ImageError when it is larger than `limit`."""
    if members.size(part) > limit:
        raise ImageError(f"{part} in {members.name} is larger than {limit >> 20} MiB")
    with members.opened(part) as stream:
        blocks = []
        while block := stream.read(CHUNK):
            blocks.append(block)
    return b"".join(blocks)


@contextlib.contextmanager
def open_members(path: str, root: StateRoot) -> Iterator[Members]:
    """Give the parts of the archive or layout directory at `path`; `-` is standard input."""
    if path != STDIN and os.path.isdir(path):
        yield Directory(path)
        return
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_input(path))
        name = "the archive on standard input" if path == STDIN else path
        if not file.seekable() or _form(file) != "none":
            file = stack.enter_context(_spooled(file, name, root))
        yield TarFile(file, name)


class TarFile:
    """The regular members of a seekable tar file."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._file = file
        self._places: Mapping[str, Place] = read_index(file, name)

    def has(self, part: str) -> bool:
        """See `Members`."""
        return resolved(self._places, part) is not None

    def size(self, part: str) -> int:
        """See `Members`."""
        found = resolved(self._places, part)
        if found is None:
            raise ImageError(f"{self.name} has no {part}")
        return found.size

    @contextlib.contextmanager
    def opened(self, part: str) -> Iterator[Reader]:
        """See `Members`."""
        found = resolved(self._places, part)
        if found is None:
            raise ImageError(f"{self.name} has no {part}")
        yield _Slice(self._file.fileno(), found.offset, found.size, self.name)


class _Slice:
    """A stretch of a file, read by position: any number of them may be open on one file."""

    def __init__(self, fd: int, offset: int, size: int, name: str) -> None:
        self._fd = fd
        self._offset = offset
        self._left = size
        self._name = name

    def read(self, size: int, /) -> bytes:
        data = os.pread(self._fd, min(size, self._left), self._offset)
        if not data and self._left and size:
            raise ImageError(f"{self._name} was cut short while it was read")
        self._offset += len(data)
        self._left -= len(data)
        return data


class Directory:
    """The regular files of a layout directory."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = path

    def has(self, part: str) -> bool:
        """See `Members`."""
        try:
            return stat.S_ISREG(os.lstat(os.path.join(self._path, _inside(part))).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def size(self, part: str) -> int:
        """See `Members`."""
        with self._opened(part) as file:
            return os.fstat(file.fileno()).st_size

    @contextlib.contextmanager
    def opened(self, part: str) -> Iterator[Reader]:
        """See `Members`."""
        with self._opened(part) as file:
            yield file

    def _opened(self, part: str) -> BinaryIO:
        path = os.path.join(self._path, _inside(part))
        try:
            # Without O_NONBLOCK, a pipe in the directory would be waited for.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise ImageError(f"{part} in {self.name} cannot be read: {reason}") from error
        file = open(fd, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            file.close()
            raise ImageError(f"{part} in {self.name} is not a regular file")
        return file


def _inside(part: str) -> str:
    if part.startswith("/") or ".." in part.split("/"):
        raise ImageError(f"impossible name of a part: {part[:80]!r}")
    return part


class _Peekable(NamedTuple):
    """An input whose first bytes were looked at and are given again."""

    head: list[bytes]
    file: BinaryIO

    def read(self, size: int, /) -> bytes:
        return self.head.pop() if self.head else self.file.read(size)


@contextlib.contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        if os.isatty(0):
            raise ImageError(
                "an archive does not come from a terminal", hint="name one with -i FILE"
            )
        yield sys.stdin.buffer.raw if hasattr(sys.stdin.buffer, "raw") else sys.stdin.buffer
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {(error.strerror or '').lower()}",
            hint="name an archive of docker save, podman save or skopeo, or a directory of one",
        ) from error
    with file:
        yield file


def _form(file: BinaryIO) -> Format:
    """Return how the seekable input is compressed."""
    start = file.tell()
    head = file.read(6)
    file.seek(start)
    return detect(head)


@contextlib.contextmanager
def _spooled(file: BinaryIO, name: str, root: StateRoot) -> Iterator[BinaryIO]:
    """Give the decompressed input as a file below the state root."""
    head = file.read(CHUNK)
    while 0 < len(head) < 6 and (more := file.read(CHUNK)):
        head += more
    source = DecompressingReader(_Peekable([head], file), detect(head), name)
    path = f"{root.tmp()}/archive.tar"
    with open(path, "x+b", buffering=0) as spool:
        os.unlink(path)
        while block := source.read(CHUNK):
            try:
                view = memoryview(block)
                while view:
                    view = view[spool.write(view) :]
            except OSError as error:
                raise disk_error(error, path) from error
        yield spool
