"""A tree to copy from: a local context, or the merged view of a snapshot.

In: a descriptor of its root (O_PATH does), the patterns that hide parts of it, and perhaps what is
remembered of its files. Out: where a path leads, what a directory holds, what a file contains; each
is looked at once, so one build sees one version. What the patterns hide is for the caller of
`directory` to leave out; `find` does it itself.
"""

from __future__ import annotations

import errno
import os
import stat

from buildkit.context.descent import DIRECTORY, Descent
from buildkit.context.directory import Directory
from buildkit.context.ignore import NO_RULE, Patterns
from buildkit.context.paths import join
from buildkit.context.resolve import Missing, Place, follow
from buildkit.context.rows import Content, Row, read_content
from buildkit.errors import ContextError
from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias


Known: TypeAlias = dict[str, tuple[Row, Content]]


class Memory(Protocol):
    """What is remembered of a tree between builds. `path` is that of a directory."""

    def recall(self, path: str) -> Known:
        """Return, by name, files as they were last seen, and what they held then.

        The caller may add to it, and says so with `learn`.
        """
        ...

    def learn(self, path: str) -> None:
        """Note that something was added to what `recall(path)` gave."""
        ...

    def digest(self, spec: str, directories: Mapping[str, Directory]) -> str | None:
        """Return the digest noted for `spec` while all `directories` were as they are now."""
        ...

    def note(self, spec: str, directories: Mapping[str, Directory], digest: str) -> None:
        """Remember `digest` for `spec`, as long as all `directories` are as they are now."""
        ...

    def forget(self, path: str) -> None:
        """Remember nothing of `path`, which turned out not to be what was known of it."""
        ...

    def save(self, directories: Mapping[str, Directory]) -> None:
        """Keep what was learned and noted; `directories` are those that were looked at."""
        ...

    def close(self) -> None:
        """Close what is open; what is asked for afterwards may not be known."""
        ...


class NoMemory:
    """For trees that are looked at once."""

    def recall(self, path: str) -> Known:  # noqa: ARG002
        """Return nothing known."""
        return {}

    def learn(self, path: str) -> None:
        """Do nothing."""

    def digest(self, spec: str, directories: Mapping[str, Directory]) -> str | None:  # noqa: ARG002
        """Return None."""
        return None

    def note(self, spec: str, directories: Mapping[str, Directory], digest: str) -> None:
        """Do nothing."""

    def forget(self, path: str) -> None:
        """Do nothing."""

    def save(self, directories: Mapping[str, Directory]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Tree:
    """See the module. `root_fd` stays the caller's. `label` names the tree in messages.

    `place` says where it is, `ignore_file` where its patterns come from, both for hints.
    `special`: devices are copied (snapshots), not passed over (contexts). `plain_modes`:
    files are 0755 or 0644, directories 0755, whatever the disk says; `git_modes` has those that
    git knows, the others are 0755 where somebody may execute the file. `download`: what is in
    it came from a URL, so that ADD does not unpack it unasked.
    """

    def __init__(
        self,
        root_fd: int,
        label: str,
        *,
        place: str = "",
        ignore_file: str = "",
        patterns: Patterns | None = None,
        memory: Memory | None = None,
        special: bool = True,
        plain_modes: bool = False,
        git_modes: Mapping[bytes, int] | None = None,
        download: bool = False,
    ) -> None:
        self.root_fd = root_fd
        self.label = label
        self.place = place or label
        self.ignore_file = ignore_file
        self.patterns = patterns if patterns is not None and patterns.rules else None
        self.special = special
        self.plain_modes = plain_modes
        self.git_modes = git_modes or {}
        self.download = download
        self.memory: Memory = memory or NoMemory()
        self.is_still = True
        """Whether all that was read was still what a row had said."""
        self._descent = Descent(root_fd)
        self._directories: dict[str, Directory] = {}
        self._known: dict[str, Known] = {}

    def close(self) -> None:
        """Close what was opened on the way; the tree can still be used."""
        self._descent.close()
        self.memory.close()

    def find(self, path: str) -> Place:
        """Return where `path` leads, links followed inside the tree. Raises `Missing`."""
        try:
            return follow(self.root_fd, path, self.patterns)
        except OSError as error:
            raise self._failed(path, error) from error

    def directory(self, path: str) -> Directory:
        """Return what the directory `path` holds, hidden or not. Raises ContextError."""
        known = self._directories.get(path)
        if known is None:
            try:
                known = self._read(path)
            except OSError as error:
                raise self._failed(path, error) from error
            self._directories[path] = known
        return known

    def _read(self, path: str) -> Directory:
        fd = self._descent.go(path)
        if path:
            return Directory.read(fd)
        # The root may have been opened with O_PATH, which does not list.
        fd = os.open(".", DIRECTORY, dir_fd=fd)
        try:
            return Directory.read(fd)
        finally:
            os.close(fd)

    def open_directory(self, path: str) -> int:
        """Return a descriptor of the directory `path`, good until the tree is asked again."""
        return self._descent.go(path)

    def save(self) -> None:
        """Have what was learned remembered."""
        self.memory.save(self._directories)

    def has_read(self, path: str) -> bool:
        """Say whether the directory `path` was looked at already."""
        return path in self._directories

    def adopt(self, path: str, directory: Directory) -> None:
        """Take `directory`, which a scanner found, for what `path` holds."""
        self._directories.setdefault(path, directory)

    def content(self, path: str, row: Row) -> Content:
        """Return the content of the file or link `row` of the directory `path`.

        It is read only when it is not known for exactly this row.
        """
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self.memory.recall(path)
        seen = known.get(row[0])
        if seen is not None and seen[0] == row:
            return seen[1]
        full = join(path, row[0])
        try:
            found, content = read_content(row, self._descent.go(path))
        except OSError as error:
            raise self._failed(full, error) from error
        if found[1] != row[1] or found[7:9] != row[7:9]:
            raise self.moved(full)
        if found == row:
            known[row[0]] = (row, content)
            self.memory.learn(path)
        else:
            # What was read belongs to no row that was seen: others read for themselves, too.
            self.is_still = False
        return content

    def shows(self, path: str, state: int, *, directory: bool) -> bool:
        """Say whether `path`, whose ignore state is `state`, can be seen or walked through."""
        if self.patterns is None or not self.patterns.hides(state):
            return True
        return directory and self.patterns.may_match_below(path, state)

    def state_of(self, path: str) -> int:
        """Return the ignore state of `path`."""
        return NO_RULE if self.patterns is None else self.patterns.state_of(path)

    def hides(self, path: str) -> bool:
        """Say whether the patterns hide `path` itself."""
        return self.patterns is not None and self.patterns.excludes(path)

    def mode(self, raw: int, path: str) -> int:
        """Return the permission bits a copy of `path`, which has the mode `raw`, gets."""
        if not self.plain_modes:
            return stat.S_IMODE(raw)
        if self.git_modes and stat.S_ISREG(raw):
            known = self.git_modes.get(os.fsencode(path))
            if known is not None:
                return known
        return 0o755 if stat.S_ISDIR(raw) or raw & 0o111 else 0o644

    def moved(self, path: str) -> ContextError:
        """Return the error that says that `path` changed under us, and forget about it."""
        self.memory.forget(path)
        return ContextError(
            f"{self.label}: {path!r} changed while it was read",
            hint="build again when nothing writes to it any more",
        )

    def _failed(self, path: str, error: OSError) -> ContextError:
        # What was a link and is none gives EINVAL, what has become one ELOOP.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL):
            return self.moved(path)
        return ContextError(f"{self.label}: cannot read {path or '.'!r}: {error.strerror}")


__all__ = ["NO_RULE", "Directory", "Memory", "Missing", "NoMemory", "Place", "Tree"]
