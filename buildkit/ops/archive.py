"""ADD of an archive: told by its content, unpacked aside, moved into place.

In: an open file, and the target of the ADD. Out: the archive's tree in the upper directory. It is
unpacked into an empty directory beside the upper, where nothing of the image's is in reach (S17,
S18), and moved from there entry by entry. Source: docs/dockerfile.md, 9.7; what an archive says
about owners, modes and times counts, --chown overrides owners, directories it does not list keep
what they have. What is in the way of an entry gives way, as with Moby's archive package.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from buildkit.content.streams import Reader, VerifyingReader
from buildkit.context.descent import Descent
from buildkit.context.paths import join
from buildkit.context.rows import read_rows
from buildkit.errors import ImageError, StepError
from buildkit.oci.digest import Digest
from buildkit.ops.chown import Owner
from buildkit.ops.target import Attributes, Target
from buildkit.snapshot.compression import DecompressingReader, detect
from buildkit.snapshot.tarnumbers import block_sum, number, signed_sum
from buildkit.snapshot.unpack import unpack_archive
from buildkit.tree.entry import read_xattrs
from runtime import owners

_BLOCK = 512


class FileReader:
    """Reads an open file from its beginning; `check` is called each time and may raise."""

    def __init__(self, fd: int, check: Callable[[], object] = lambda: None) -> None:
        self._fd = fd
        self._place = 0
        self._check = check

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        self._check()
        data = os.pread(self._fd, size, self._place)
        self._place += len(data)
        return data


def is_archive(fd: int) -> bool:
    """Say whether an open file is a tar, plain or compressed."""
    return has_header(decompressed(FileReader(fd), os.pread(fd, 6, 0), "the file"))


def has_header(reader: Reader) -> bool:
    """Say whether what `reader` gives begins with the header of a tar."""
    block = b""
    try:
        while len(block) < _BLOCK:
            data = reader.read(_BLOCK - len(block))
            if not data:
                return False
            block += data
        said = number(block[148:156], "checksum")
    except ImageError:
        return False
    plain = block[:148] + b"        " + block[156:]
    return any(block) and said in (block_sum(plain), signed_sum(plain))


def decompressed(source: Reader, head: bytes, name: str) -> DecompressingReader:
    """Return a reader of what `source`, which begins with `head`, decompresses to."""
    return DecompressingReader(source, detect(head), name)


def unpack_into(
    target: Target,
    top: str,
    fd: int,
    expected: Digest,
    *,
    name: str,
    owner: Owner | None,
    scratch: str,
    check: Callable[[], object],
) -> int:
    """Unpack the open archive `fd` into the directory `top` of `target`; return how many files.

    `expected` is the digest of the file; `scratch` a directory to be made on the same file system
    as the target, whose remains the caller throws away. Raises ImageError for a damaged archive
    (or one that is not `expected`), StepError where it does not fit what is there.
    """
    os.mkdir(scratch, 0o700)
    root = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = VerifyingReader(FileReader(fd, check), expected=expected, what=name)
        unpacked = unpack_archive(decompressed(source, os.pread(fd, 6, 0), name), root)
        implied = frozenset(os.fsdecode(path) for path in unpacked.implied)
        moving = _Moving(target, top, root, implied, owner, check)
        try:
            moving.run()
        finally:
            moving.close()
    finally:
        os.close(root)
    return unpacked.files


class _Moving:
    """Moves the tree below `root` into the target."""

    def __init__(
        self,
        target: Target,
        top: str,
        root: int,
        implied: frozenset[str],
        owner: Owner | None,
        check: Callable[[], object],
    ) -> None:
        self._target = target
        self._top = top
        self._source = Descent(root)
        self._implied = implied
        self._owner = owner
        self._check = check
        self._root = root

    def close(self) -> None:
        self._source.close()

    def run(self) -> None:
        todo = [("", self._top)]
        self._target.directory(self._top)
        while todo:
            path, place = todo.pop()
            self._check()
            for row in self._rows(path):
                inner = join(path, row[0])
                if stat.S_ISDIR(row[1]):
                    todo.append((inner, self._directory(inner, join(place, row[0]))))
                else:
                    self._file(path, row[0], place)

    def _rows(self, path: str) -> tuple[tuple[str, int], ...]:
        fd = self._source.go(path)
        return tuple((row[0], row[1]) for row in read_rows(fd))

    def _file(self, path: str, name: str, place: str) -> None:
        source = self._source.go(path)
        if self._owner is not None:
            self._give_away(source, name, self._owner)
        target = self._target.displace(join(place, name))
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)

    def _directory(self, path: str, place: str) -> str:
        """Make the directory `path` of the archive at `place`; return where it really is."""
        if path in self._implied:
            place = self._followed(path, place)
            self._target.directory(place)
            return place
        fd = self._source.go(path)
        found = owners.stat_of(fd)
        owner = self._owner or Owner(found.st_uid, found.st_gid)
        times = (found.st_mtime_ns, found.st_mtime_ns)
        self._target.directory_instead(place)
        mode = stat.S_IMODE(found.st_mode)
        self._target.dress(place, Attributes(mode, owner, times, read_xattrs(fd)))
        return place

    def _followed(self, path: str, place: str) -> str:
        """Return where `place` leads if it is a link of the image, which may not leave the top."""
        if not self._target.is_link(place):
            return place
        real = self._target.resolve(f"/{place}")
        if self._top and not f"{real}/".startswith(f"{self._top}/"):
            raise StepError(
                f"the archive has files in {path!r}, and /{place} is a link that leads out of "
                f"/{self._top}",
                hint="unpack it elsewhere, or in a RUN",
            )
        return real

    @staticmethod
    def _give_away(directory: int, name: str, owner: Owner) -> None:
        """Change the owner of a file; its set-id bits and capabilities stay as they are."""
        found = owners.stat_at(name, directory)
        if (found.st_uid, found.st_gid) == owner:
            return
        below = f"/proc/self/fd/{directory}/{name}"
        xattrs = read_xattrs(os.fsencode(below))
        owners.give(owners.at(directory, name), *owner)
        if stat.S_ISLNK(found.st_mode):
            return
        # Only our own unpacking has written here: what was no link is none.
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=directory)
        for key, value in xattrs:
            if key == "security.capability":
                os.setxattr(below, key, value, follow_symlinks=False)
