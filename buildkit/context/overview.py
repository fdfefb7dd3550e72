"""What a build sees of a context, and what the ignore file hides: `pybuild context ls`.

In: a tree with its patterns. Out: its paths in order, a directory before what is in it. A hidden
directory counts as seen when an exception brings something in it back, for then it is copied along;
else nothing that is in it is listed.
"""

from __future__ import annotations

import stat

from buildkit.context.ignore import NO_RULE, Patterns
from buildkit.context.paths import join
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.context.rows import Row
    from buildkit.context.tree import Tree


class Listed(NamedTuple):
    """One path of a context: does a build see it, and its size (of files, in bytes)."""

    path: str
    seen: bool
    directory: bool
    size: int


class _Frame(NamedTuple):
    """A directory being listed. `held`: itself and what it hides, until something in it is seen."""

    path: str
    rows: Iterator[Row]
    state: int
    held: list[Listed]


def overview(tree: Tree) -> Iterator[Listed]:
    """Yield the paths of `tree`. Raises ContextError."""
    patterns = tree.patterns or Patterns.of(())
    frames = [_Frame("", iter(tree.directory("").rows), NO_RULE, [])]
    while frames:
        frame = frames[-1]
        row = next(frame.rows, None)
        if row is None:
            # If nothing in it was seen, only the directory itself is worth a line.
            left = frames.pop().held[:1]
            if frames and frames[-1].held:
                frames[-1].held.extend(left)
            else:
                yield from left
            continue
        path = join(frame.path, row[0])
        state = patterns.step(frame.state, path)
        directory = stat.S_ISDIR(row[1])
        seen = not patterns.hides(state)
        listed = Listed(path, seen, directory, 0 if directory else row[2])
        if directory and tree.shows(path, state, directory=True):
            held = [] if seen else [listed]
            frames.append(_Frame(path, iter(tree.directory(path).rows), state, held))
            if seen:
                yield from _released(frames[:-1])
                yield listed
        elif seen:
            yield from _released(frames)
            yield listed
        elif frame.held:
            frame.held.append(listed)
        else:
            yield listed


def _released(frames: list[_Frame]) -> Iterator[Listed]:
    """Yield what is held, now that something below is seen."""
    for frame in frames:
        for number, listed in enumerate(frame.held):
            yield listed._replace(seen=True) if number == 0 else listed
        frame.held.clear()
