"""Where a path in a tree leads, with links followed inside the tree and ignored files not there.

In: an open root, a path, the patterns that hide. Out: a `Place`, or `Missing`. Every component is
looked at by descriptor, one at a time, so that neither a link nor a race leads outside, and each is
held against the patterns: a hidden file is unreachable by any spelling or link (S12).
"""

from __future__ import annotations

import os
import stat

from buildkit.context.descent import DIRECTORY
from buildkit.context.ignore import NO_RULE, Patterns
from buildkit.context.rows import Row, row_of
from runtime import owners
from runtime.values import NamedTuple

_MAX_LINKS = 255


class Place(NamedTuple):
    """Where a path leads: canonical (no links in it), what is there, its ignore state."""

    path: str
    row: Row
    state: int


class Missing(Exception):  # noqa: N818 - an answer, not a fault; the caller makes the error
    """A path leads nowhere.

    `path` is canonical as far as it exists; `hidden` is the path that the patterns hide, empty
    when there is nothing at all; `link` the last link followed on the way.
    """

    def __init__(self, path: str, *, hidden: str = "", link: str = "") -> None:
        super().__init__(path)
        self.path = path
        self.hidden = hidden
        self.link = link


def follow(root_fd: int, path: str, patterns: Patterns | None) -> Place:
    """Return where `path` leads. Raises `Missing`, and OSError as the kernel does."""
    walk = _Walk(root_fd, patterns)
    try:
        return walk.follow(path)
    finally:
        walk.leave()


class _Walk:
    """One path being followed."""

    def __init__(self, root_fd: int, patterns: Patterns | None) -> None:
        self._root = root_fd
        self._patterns = patterns
        self._fds: list[int] = []
        self._names: list[str] = []
        self._links: list[str] = []
        self._row: Row | None = None

    def leave(self) -> None:
        """Go back to the root."""
        while self._fds:
            os.close(self._fds.pop())
        self._names.clear()
        self._row = None

    def follow(self, path: str) -> Place:
        todo = _components(path)
        while todo:
            name = todo.pop()
            if self._row is not None and not stat.S_ISDIR(self._row[1]):
                raise self._missing([name, *reversed(todo)])
            if name == "..":
                self._up()
            else:
                todo += self._down(name, todo)
        row = self._row or row_of("", owners.stat_of(self._root))
        canonical = "/".join(self._names)
        state = self._patterns.state_of(canonical) if self._patterns else NO_RULE
        return Place(canonical, row, state)

    def _up(self) -> None:
        if self._fds:
            os.close(self._fds.pop())
            self._names.pop()
            self._row = row_of("", owners.stat_of(self._here()))

    def _down(self, name: str, todo: list[str]) -> list[str]:
        """Take one step; return what is to be followed before `todo`, last step first."""
        here = self._here()
        try:
            row = row_of(name, owners.stat_at(name, here))
        except FileNotFoundError:
            raise self._missing([name, *reversed(todo)]) from None
        self._check_hidden(name, row)
        if stat.S_ISLNK(row[1]):
            target = os.readlink(name, dir_fd=here)
            self._links.append("/".join([*self._names, name]))
            if len(self._links) > _MAX_LINKS:
                raise self._missing([name])
            if target.startswith("/"):
                self.leave()
            return _components(target)
        if stat.S_ISDIR(row[1]):
            self._fds.append(os.open(name, DIRECTORY, dir_fd=here))
        self._names.append(name)
        self._row = row
        return []

    def _here(self) -> int:
        return self._fds[-1] if self._fds else self._root

    def _missing(self, rest: list[str]) -> Missing:
        return Missing("/".join([*self._names, *rest]), link=self._links[-1] if self._links else "")

    def _check_hidden(self, name: str, row: Row) -> None:
        """Raise `Missing` when the patterns hide what is called `name` here."""
        if self._patterns is None:
            return
        path = "/".join([*self._names, name])
        state = self._patterns.state_of(path)
        if self._patterns.hides(state) and not (
            stat.S_ISDIR(row[1]) and self._patterns.may_match_below(path, state)
        ):
            raise Missing(path, hidden=path, link=self._links[-1] if self._links else "")


def _components(path: str) -> list[str]:
    """Return the names of `path`, last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
