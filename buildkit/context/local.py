"""A build context that is a directory of this machine.

In: its path, and that of the Dockerfile, which may bring an ignore file of its own. Out: a `Tree`
that shows what the ignore file leaves, and the listings of `pybuild context`. The directory is
opened once and never left: all else goes by descriptor (S12). Source: docs/dockerfile.md, chapter
11.
"""

from __future__ import annotations

import os
import stat
from itertools import takewhile

from buildkit.context.glob import has_wildcards
from buildkit.context.ignore import Patterns, Rule
from buildkit.context.overview import Listed, overview
from buildkit.context.paths import native, within
from buildkit.context.rows import open_file
from buildkit.context.scan import scan
from buildkit.context.statcache import StatCache
from buildkit.context.tree import Missing, Tree
from buildkit.errors import ContextError
from buildkit.oci.digest import sha256_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self


IGNORE_FILE = ".dockerignore"

_LIMIT = 16 << 20


class LocalContext:
    """An open build context. `ignore_file` is the one in use as a user would name it, or empty."""

    def __init__(self, tree: Tree, patterns: Patterns, ignore_file: str) -> None:
        self.tree = tree
        self.patterns = patterns
        self.ignore_file = ignore_file

    @classmethod
    def open(
        cls,
        path: str,
        *,
        dockerfile: str | None = None,
        name: str = "context",
        memory_folder: str | None = None,
        plain_modes: bool = False,
        git_modes: Mapping[bytes, int] | None = None,
        ignore: bool = True,
    ) -> Self:
        """Open the directory `path`. Raises ContextError when it is none.

        `dockerfile` is a path of this machine, None when the text came from elsewhere. `name` is
        what the context is called in messages. `memory_folder`: where to remember what was read
        (`contexts` of the state root), None not to. `ignore`: is there an ignore file to be obeyed?
        """
        try:
            root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContextError(f'unable to prepare context: path "{path}" not found') from None
        except NotADirectoryError:
            raise ContextError(
                f'unable to prepare context: path "{path}" is not a directory'
            ) from None
        except OSError as error:
            raise ContextError(f'unable to prepare context: "{path}": {error.strerror}') from error
        try:
            ignore_file, data = _ignore_file(root, dockerfile) if ignore else ("", b"")
            patterns = Patterns.parse(data, ignore_file)
            memory = _memory(memory_folder, root) if memory_folder is not None else None
        except BaseException:
            os.close(root)
            raise
        tree = Tree(
            root,
            name,
            place=path,
            ignore_file=ignore_file,
            patterns=patterns,
            memory=memory,
            special=False,
            plain_modes=plain_modes,
            git_modes=git_modes,
        )
        return cls(tree, patterns, ignore_file)

    def prefetch(self, sources: Iterable[str]) -> None:
        """Look at all that the COPY sources `sources` may take, with all processors.

        Worth its while for a big context only, and before the build starts its first thread.
        """
        paths: set[str] = set()
        for source in sources:
            names = within(native(source)).split("/")
            literal = list(takewhile(lambda name: not has_wildcards(name), names))
            try:
                place = self.tree.find("/".join(literal))
            except Missing:
                continue
            if stat.S_ISDIR(place.row[1]):
                paths.add(place.path)
        scan(self.tree, sorted(paths))

    def close(self) -> None:
        """Remember what was read, and close the directory."""
        self.tree.save()
        self.tree.close()
        os.close(self.tree.root_fd)

    def read(self, path: str) -> bytes | None:
        """Return a file of the context, hidden or not, None when there is none. At most 16 MiB."""
        return _read_inside(self.tree.root_fd, path)

    def why(self, path: str) -> Rule | None:
        """Return the rule that decides about `path`, None when none speaks of it."""
        return self.patterns.rule_for(within(path))

    def list(self) -> Iterator[Listed]:
        """Yield all paths in order, with a directory before what is in it. See `overview`."""
        return overview(self.tree)


def _memory(folder: str, root: int) -> StatCache:
    """Return what is remembered of the directory `root`, which its path and file system name.

    A device number alone is that of any disk image that is mounted there; the other is made of what
    tells one file system from the next (statfs(2), "f_fsid").
    """
    path = os.readlink(f"/proc/self/fd/{root}")
    place = f"{os.fstat(root).st_dev}:{os.fstatvfs(root).f_fsid}:{path}"
    name = sha256_of(os.fsencode(place)).hexdigest()
    return StatCache.load(os.path.join(folder, name))


def _ignore_file(root: int, dockerfile: str | None) -> tuple[str, bytes]:
    """Return name and bytes of the ignore file that counts; empty when there is none."""
    if dockerfile is not None:
        beside = dockerfile + IGNORE_FILE
        data = _read(beside, None)
        if data is not None:
            return beside, data
    data = _read_inside(root, IGNORE_FILE)
    return (IGNORE_FILE, data) if data is not None else ("", b"")


def _read_inside(root: int, path: str) -> bytes | None:
    """Return a file below `root`, links followed inside it."""
    tree = Tree(root, "context")
    try:
        place = tree.find(within(path))
        if not stat.S_ISREG(place.row[1]):
            return None
        above, _, name = place.path.rpartition("/")
        return _read(name, tree.open_directory(above))
    except Missing:
        return None
    finally:
        tree.close()


def _read(path: str, directory: int | None) -> bytes | None:
    """Return a regular file of at most 16 MiB, None when there is none."""
    try:
        if directory is None:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        else:
            fd = open_file(path, directory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ContextError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ContextError(f"{path} is not a regular file")
    with open(fd, "rb") as file:
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ContextError(f"{path} is larger than {_LIMIT >> 20} MiB")
    return data
