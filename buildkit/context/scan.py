"""Scanning a big context by several processes at once.

In: a tree and the directories whose contents will be asked for. Out: the tree knows them all, as
folded `Directory` values. Threads make a scan slower, processes nearly halve it (two cores), so the
part of a tree that is left after a first look is shared out to forked children, each of which
sends what it found through a pipe. A process that has threads already scans alone: a fork would
take their locks along. Whatever a child does not bring home is read again when it is asked for,
and errors are told then.
"""

from __future__ import annotations

import marshal
import os
from collections import deque

from buildkit.context.descent import Descent
from buildkit.context.directory import Directory, Folded
from buildkit.context.ignore import NO_RULE
from buildkit.context.paths import join
from buildkit.errors import ContextError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from buildkit.context.tree import Tree


_Todo: TypeAlias = tuple[str, int]
"""A directory still to be looked at, and its ignore state."""

_SMALL = 1500
_SPREAD = 32
_WORKERS = 4


def scan(tree: Tree, paths: Iterable[str]) -> None:
    """Look at all that is visible below the directories `paths` of `tree`."""
    todo = deque((path, tree.state_of(path)) for path in paths)
    looked_at = 0
    alone = not _may_fork()
    while todo and (alone or looked_at < _SMALL or len(todo) < _SPREAD):
        path, state = todo.popleft()
        if not tree.has_read(path):
            try:
                directory = tree.directory(path)
            except ContextError:
                continue
            # To open a directory costs about as much as to stat ten files.
            looked_at += 10 + len(directory.rows)
            todo.extend(_inner(tree, path, state, directory))
    if todo:
        _share(tree, list(todo))


def _may_fork() -> bool:
    """Say whether there is more than one processor, and this process has one thread."""
    return len(os.sched_getaffinity(0)) > 1 and len(os.listdir("/proc/self/task")) == 1


def _inner(tree: Tree, path: str, state: int, directory: Directory) -> Iterable[_Todo]:
    """Yield the directories in `path` that are to be looked at, too."""
    for name in directory.subdirectories:
        full = join(path, name)
        after = tree.patterns.step(state, full) if tree.patterns is not None else NO_RULE
        if tree.shows(full, after, directory=True):
            yield full, after


def _share(tree: Tree, todo: list[_Todo]) -> None:
    """Have children and this process look at `todo` and all below."""
    workers = min(len(os.sched_getaffinity(0)), _WORKERS)
    children = [_start(tree, todo[number::workers]) for number in range(1, workers)]
    for path, folded in _look(tree, todo[::workers]):
        tree.adopt(path, Directory.unfold(folded))
    for pid, pipe in children:
        with open(pipe, "rb") as file:
            data = file.read()
        os.waitpid(pid, 0)
        if data.endswith(_WHOLE):
            for path, folded in marshal.loads(data):  # noqa: S302 - of our own child
                tree.adopt(path, Directory.unfold(folded))


_WHOLE = b"whole"


def _start(tree: Tree, todo: list[_Todo]) -> tuple[int, int]:
    """Fork a child that looks at `todo`; return its pid and the pipe it will write to."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    # The child must never come back into the program, whatever happens.
    try:
        data = marshal.dumps(_look(tree, todo), 2) + _WHOLE
        place = 0
        while place < len(data):
            place += os.write(writing, memoryview(data)[place:])
    finally:
        os._exit(0)


def _look(tree: Tree, todo: list[_Todo]) -> list[tuple[str, Folded]]:
    """Return what is in the directories `todo` and below; what cannot be read is left out."""
    found: list[tuple[str, Folded]] = []
    with Descent(tree.root_fd) as descent:
        while todo:
            path, state = todo.pop()
            try:
                directory = Directory.read(descent.go(path))
            except OSError:
                continue
            found.append((path, directory.fold()))
            todo.extend(_inner(tree, path, state, directory))
    return found
