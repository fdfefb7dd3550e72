"""What a mount of a RUN shows: as a copy, so that it can be made a tree, and as a digest.

In: an input and a path in it. Out: a `CopyOp`; a digest. A context is copied for a mount, so what a
copy takes is all that can be seen. A stage or an image is shown as it lies: with the attributes of
the directory itself, which a copy does not take, and with access lists.
"""

from __future__ import annotations

import os
import re
import stat

from buildkit.cache.manifest import FileState, line
from buildkit.context.paths import join
from buildkit.llb.op import CopyOp, CopySource
from buildkit.oci.digest import Digest, sha256_of
from buildkit.ops.remembered import spec_of
from buildkit.ops.select import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.context.tree import Tree
    from buildkit.ops.selection import Root, Selection


_WILDCARD = re.compile(r"([*?\[\\])")


def mount_copy(origin: int, source: str) -> CopyOp:
    """Return the copy that takes what a mount shows, to `/content`: its key and its tree."""
    return CopyOp(
        # A mount has no wildcards.
        sources=(CopySource(origin, _WILDCARD.sub(r"\\\1", source)),),
        dest="/content",
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=True,
    )


def mount_spec(origin: int, source: str) -> str:
    """Return under what `remembered` knows what a mount shows: more than a copy of it takes."""
    plain = spec_of(mount_copy(origin, source), origin)
    return sha256_of(f"mount 1 {plain}".encode()).hexdigest()


def is_shown_as_it_lies(tree: Tree) -> bool:
    """Say whether mounts show `tree` itself: nothing in it is hidden or left out by a copy."""
    return tree.patterns is None and tree.special


def shown_digest(origin: int, source: str, tree: Tree) -> Digest:
    """Return the digest of what a mount of `source` in `tree` shows. Raises ContextError.

    It is that of a copy, unless there is something to be seen that a copy does not take.
    """
    selection = select(mount_copy(origin, source), {origin: tree})
    digest = next(iter(selection.digests.values()))
    marks = list(_marks(selection, tree)) if is_shown_as_it_lies(tree) else []
    return (
        Digest.of("\0".join([digest, *marks]).encode("utf-8", "surrogateescape"))
        if marks
        else digest
    )


def shown_manifest(origin: int, source: str, tree: Tree) -> bytes:
    """Return the per-file manifest of what a mount of `source` in `tree` shows."""
    selection = select(mount_copy(origin, source), {origin: tree})
    lines = [selection.manifest(origin)]
    for root in selection.roots:
        if root.directory and is_shown_as_it_lies(tree):
            _, mode, *_, uid, gid, _, _ = tree.find(root.path).row
            state = FileState(root.path or "/", "dir", stat.S_IMODE(mode), uid, gid, "")
            lines.append(line(state))
    return b"".join(lines)


def _marks(selection: Selection, tree: Tree) -> Iterator[str]:
    """Yield what the copy `selection` would leave behind."""
    for root in selection.roots:
        if root.directory:
            found = tree.find(root.path).row
            mode, owner = stat.S_IMODE(found[1]), found[7:9]
            if (mode, owner) != (0o755, (0, 0)):
                yield f"{mode:o} {owner}"
        yield from _attributes(root, selection, tree)


def _attributes(root: Root, selection: Selection, tree: Tree) -> Iterator[str]:
    # Only who has not seen the tree before looks that closely.
    from buildkit.tree.entry import below, read_xattrs

    paths = [root.path] if root.directory else []
    paths += [
        join(root.path, entry.path) for entry in selection.entries(root) if entry.kind != "link"
    ]
    for path in paths:
        above, _, name = path.rpartition("/")
        found = read_xattrs(below(tree.open_directory(above), os.fsencode(name or ".")))
        # Of what is in the directory, a copy takes along the others.
        for key, value in found:
            if path == root.path or key.startswith("system."):
                yield f"{path} {key} {value.hex()}"
