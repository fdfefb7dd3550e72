"""What a COPY or WORKDIR looks up in the layers below it, and a view of no more than that.

In: the op, its selection, the parent. Out: a descriptor of a tree that answers all that the op may
ask of the parent's as that one would. Where a large COPY lies below, its files are not made for it:
what is asked are the parts of a few paths (`SnapshotStore.partial_view`). Which ones is known
beforehand but for links. So a path is followed in a view of what it would lead through if there
were none; what it has led through decides: if that was not all in the view, the next one has it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from buildkit.context.paths import join, native, within
from buildkit.llb.op import CopyOp, MkdirOp, needs_names
from buildkit.ops.selection import INLINE, Selection
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.store import SnapshotStore
from runtime import safepath
from runtime.values import NamedTuple

_ROUNDS = 8
"""Each of them follows one link more at least; who has more of them gets the whole tree."""

_NAMES = ("/etc/passwd", "/etc/group")


class Lookups(NamedTuple):
    """Paths that are looked up: with links, and without.

    `dest` is followed, and so are `files`. `below` gives, for what `dest` turns out to be, all that
    is looked up below it. What nobody can tell beforehand is not `known`.
    """

    dest: str
    below: Callable[[str], Iterable[str]]
    files: tuple[str, ...]
    known: bool


def of_copy(op: CopyOp, selection: Selection) -> Lookups:
    """Return what `copy.py` and `copy_plan.py` look up."""
    # What an archive holds, and where it leads, nobody knows yet.
    known = op.unpack == "never" or all(
        root.directory or root.origin == INLINE for root in selection.roots
    )
    files = of_owner(op.chown).files if op.chown else ()
    if op.link:
        return Lookups("/", _nothing, files, known=True)

    def below(dest: str) -> Iterator[str]:
        for root in selection.roots:
            tops = (dest,) if root.directory else (dest, join(dest, root.name))
            for entry in selection.entries(root):
                for top in tops:
                    yield join(top, entry.path)

    return Lookups(native(op.dest), below, files, known)


def of_mkdir(op: MkdirOp) -> Lookups:
    """Return what `mkdir.py` looks up."""
    return Lookups(op.path, _nothing, of_owner(op.user).files if op.user else (), known=True)


def of_owner(owner: str) -> Lookups:
    """Return what `chown.find_owner` looks up."""
    return Lookups("/", _nothing, _NAMES if needs_names(owner) else (), known=True)


def _nothing(dest: str) -> tuple[str, ...]:  # noqa: ARG001 - of its kind
    return ()


@contextlib.contextmanager
def view_for(snapshots: SnapshotStore, parent: Snapshot, lookups: Lookups) -> Iterator[int]:
    """Give a descriptor of a tree in which `lookups` find what they do in that of `parent`."""
    if lookups.known and not snapshots.is_whole(parent):
        wanted = _unless_linked(lookups)
        for _ in range(_ROUNDS):
            with snapshots.partial_view(parent, wanted) as fd:
                looked = _looked(fd, lookups)
                if looked is None:
                    break
                if looked <= wanted:
                    yield fd
                    return
            wanted |= looked
    with snapshots.view(parent) as fd:
        yield fd


def _unless_linked(lookups: Lookups) -> frozenset[bytes]:
    """Return what is looked up if there are no links."""
    dest = within(lookups.dest)
    found = {os.fsencode(path) for path in lookups.below(dest)}
    for path in map(os.fsencode, (dest, *map(within, lookups.files))):
        here = path
        while here:
            found.add(here)
            here = here.rpartition(b"/")[0]
    return frozenset(found)


def _looked(fd: int, lookups: Lookups) -> frozenset[bytes] | None:
    """Return what is looked up in the tree `fd`; None where not even that can be."""
    try:
        dest, looked = safepath.trace(fd, lookups.dest)
        for file in lookups.files:
            looked |= safepath.trace(fd, file)[1]
    except OSError:
        return None
    return looked.union(map(os.fsencode, lookups.below(within(dest))))
