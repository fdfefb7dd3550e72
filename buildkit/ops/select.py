"""Selecting: from a COPY and the trees of its inputs to a `Selection`.

In: the op and a tree for each input that a source lies in. Out: roots, a digest an origin, entries
on demand. When nothing under the sources has changed since the last build, the digest comes from
what the tree remembers, at the price of a stat a file.
"""

from __future__ import annotations

from buildkit.context.tree import Directory, Missing, Tree
from buildkit.llb.op import CopyOp, InlineFile
from buildkit.oci.digest import Digest, sha256_of
from buildkit.ops.listing import Listing
from buildkit.ops.missing import not_found
from buildkit.ops.selection import INLINE, Entry, Root, Selection, digest_of
from buildkit.ops.sources import find_roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def select(op: CopyOp, trees: Mapping[int, Tree]) -> Selection:
    """Return what `op` takes from `trees` (by number of the input; the parent is not among them).

    Raises ContextError for a source that is not there or moves, DefinitionError for one that is
    malformed.
    """
    selecting = _Selecting(op, trees)
    digests = {
        origin: selecting.digest(origin)
        for origin in dict.fromkeys(root.origin for root in selecting.roots)
        if origin != INLINE
    }
    return Selection(selecting.roots, digests, selecting.entries)


class _Selecting:
    """One `select`; lives on in the selection's `entries`."""

    def __init__(self, op: CopyOp, trees: Mapping[int, Tree]) -> None:
        self._op = op
        self._trees = trees
        self._listings = {origin: Listing(op, tree) for origin, tree in trees.items()}
        self._entries: dict[Root, tuple[Entry, ...]] = {}
        self.roots = find_roots(op, trees)

    def entries(self, root: Root) -> tuple[Entry, ...]:
        known = self._entries.get(root)
        if known is None:
            known = self._entries[root] = self._list(root)
        return known

    def digest(self, origin: int) -> Digest:
        tree = self._trees[origin]
        listing = self._listings[origin]
        roots = [root for root in self.roots if root.origin == origin]
        directories: dict[str, Directory] = {}
        for root in roots:
            if root.directory:
                for path in listing.directories(root):
                    directories[path] = tree.directory(path)
        spec = self._spec(roots)
        known = tree.memory.digest(spec, directories)
        if known is not None:
            return Digest.parse(known)
        digest = digest_of((root, self.entries(root)) for root in roots)
        if tree.is_still:
            tree.memory.note(spec, directories, str(digest))
        return digest

    def _spec(self, roots: list[Root]) -> str:
        """Return a text for all that decides about a digest, but what is in the directories."""
        op = self._op
        files = [
            [entry._replace(mtime_ns=0) for entry in self.entries(root)]
            for root in roots
            if not root.directory
        ]
        tree = self._trees[roots[0].origin]
        flags = (op.exclude, op.parents, op.chmod, bool(op.chown), op.keep_owner, tree.plain_modes)
        # They are many, so only their digest is kept.
        modes = tree.git_modes and Digest.of(repr(sorted(tree.git_modes.items())).encode())
        rules = tree.patterns.rules if tree.patterns is not None else ()
        return repr((roots, files, (*flags, str(modes)) if modes else flags, rules))

    def _list(self, root: Root) -> tuple[Entry, ...]:
        if root.origin == INLINE:
            return (_inline(self._op, root),)
        tree = self._trees[root.origin]
        entries = self._listings[root.origin].entries(root)
        if root.directory and not entries and tree.hides(root.path):
            # The ignore file hides the directory, and no exception brought anything in it back.
            raise not_found(tree, root.path, Missing(root.path, hidden=root.path))
        return entries


def _inline(op: CopyOp, root: Root) -> Entry:
    source = op.sources[root.number]
    assert isinstance(source, InlineFile)
    data = inline_bytes(source)
    return Entry(
        path="",
        kind="file",
        mode=0o644,
        uid=0,
        gid=0,
        size=len(data),
        content=sha256_of(data).hexdigest(),
        xattrs=(),
        same=0,
    )


def inline_bytes(source: InlineFile) -> bytes:
    """Return the bytes of a heredoc."""
    return source.content.encode("utf-8", "surrogateescape")
